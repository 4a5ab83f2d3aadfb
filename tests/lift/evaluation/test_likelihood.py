"""The likelihood bound: exact where it can be, unbiased elsewhere, and honest about its error."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from lift.errors import LiftError
from lift.evaluation import plan_masks
from tests.lift.support.tiny import tiny_model

LENGTH, MASK = 6, 1
CONTEXT, TEXT = (2, 7, 4), (5, 3, 2, 6, 6, 4)
T_975_OF_7 = 2.364624  # Student's quantile with 7 degrees of freedom


@pytest.fixture(scope="module")
def table() -> torch.Tensor:
    """log p (64, 6) float64 of the tokens in each set, by its bits, from the model's own logits."""
    model = tiny_model(3).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)  # so that context matters: the bound moves by nats
        found = torch.zeros(2**LENGTH, LENGTH, dtype=torch.float64)
        for bits in range(1, 2**LENGTH):
            chosen = [i for i in range(LENGTH) if bits >> i & 1]
            ids = torch.tensor([[*CONTEXT, *TEXT]])
            ids[0, [len(CONTEXT) + i for i in chosen]] = MASK
            log_prob = model(input_ids=ids).logits[0, len(CONTEXT) :].log_softmax(-1)
            for i in chosen:
                found[bits, i] = log_prob[i, TEXT[i]]
    return found


@pytest.fixture(scope="module")
def truth(table) -> float:
    """The definition: the mean over sets of each size, by loops."""
    total = 0.0
    for size in range(1, LENGTH + 1):
        sets = [sum(1 << i for i in chosen) for chosen in itertools.combinations(range(LENGTH), size)]
        total += float(np.mean([float(table[bits].sum()) / size for bits in sets]))
    return total


def estimate(plan, table):
    bits = (plan.is_masked.long() << torch.arange(LENGTH)).sum(1)
    return plan.estimate(table[bits].float())


def test_all_sets_of_six_tokens_are_summed_exactly(table, truth):
    plan = plan_masks(LENGTH, seed=0, num_forwards=63)
    assert len(plan.is_masked) == 63
    found = estimate(plan, table)
    assert found.value == pytest.approx(truth, abs=1e-5) and found.standard_error == 0.0
    assert len(plan_masks(LENGTH, seed=0, num_forwards=62).is_masked) == 48  # 8 replicates of 3 pairs
    # The expected log-likelihood over random orders, the other name of the same number.
    orders = list(itertools.permutations(range(LENGTH)))[::7]
    by_orders = [sum(float(table[sum(1 << j for j in order[k:])][order[k]]) for k in range(LENGTH)) for order in orders]
    assert np.mean(by_orders) == pytest.approx(truth, abs=4 * np.std(by_orders) / len(orders) ** 0.5)


def test_one_token_needs_one_forward(table):
    assert plan_masks(1, seed=0).is_masked.tolist() == [[True]]


def test_the_estimate_is_unbiased_and_its_intervals_cover_over_500_runs(table, truth):
    for num_replicates, quantile in ((8, T_975_OF_7), (4, 3.182446)):
        runs = [
            estimate(plan_masks(LENGTH, seed=seed, num_forwards=48, num_replicates=num_replicates), table)
            for seed in range(500)
        ]
        values, errors = np.array([run.value for run in runs]), np.array([run.standard_error for run in runs])
        assert abs(values.mean() - truth) < 4 * values.std() / 500**0.5
        covered = np.mean(abs(values - truth) <= quantile * errors)
        assert 0.92 <= covered <= 0.98
        assert np.sqrt((errors**2).mean()) == pytest.approx(values.std(), rel=0.1)


def test_pairs_spread_less_than_lone_sets():
    """Where tokens are the less likely the more of them are masked."""
    noise = np.random.default_rng(0).normal(size=(2**LENGTH, LENGTH))
    sizes = [bits.bit_count() for bits in range(2**LENGTH)]
    table = torch.from_numpy(-0.4 * np.array(sizes)[:, None] - 0.1 * abs(noise))
    table *= torch.tensor([[bits >> i & 1 for i in range(LENGTH)] for bits in range(2**LENGTH)])

    def lone(seed):
        rng = np.random.default_rng(seed)
        total = 0.0
        for _ in range(48):
            size = int(rng.integers(1, LENGTH + 1))
            total += float(table[sum(1 << int(i) for i in rng.permutation(LENGTH)[:size])].sum()) * LENGTH / size
        return total / 48

    paired = [estimate(plan_masks(LENGTH, seed=seed, num_forwards=48), table).value for seed in range(200)]
    assert np.std(paired) < 0.8 * np.std([lone(seed) for seed in range(200)])


@pytest.mark.parametrize("length", [7, 9, 50, 2000])
def test_each_size_has_the_same_chance_and_pairs_meet_in_one_token(length):
    sizes = []
    for seed in range(40):
        is_masked = plan_masks(length, seed=seed, num_forwards=64).is_masked
        first, second = is_masked[::2], is_masked[1::2]
        assert ((first & second).sum(1) == 1).all() and (first | second).all()
        sizes += is_masked.sum(1).tolist()
    assert np.mean(sizes) == pytest.approx((length + 1) / 2)  # exactly, by pairs
    assert min(sizes) >= 1 and max(sizes) <= length
    counts = np.histogram(sizes, bins=7 if length == 7 else 3, range=(0.5, length + 0.5))[0]
    assert counts.min() > 0.8 * counts.max()


def test_a_seed_names_the_sets():
    first, again, other = (plan_masks(9, seed=seed).is_masked for seed in (2**70, 2**70, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("options", [{"num_replicates": 1}, {"num_forwards": 15}])
def test_too_few_forwards_for_an_error_are_refused(options):
    with pytest.raises(LiftError, match="a standard error needs"):
        plan_masks(9, seed=0, **options)
    with pytest.raises(LiftError, match="at least one token"):
        plan_masks(0, seed=0)
