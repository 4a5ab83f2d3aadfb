"""The bound of a model that was trained in blocks: by its definition, block by block."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import pytest
import torch

from lift.evaluation import plan_masks
from lift.evaluation.answer_store import AnswerStore
from lift.evaluation.block_likelihood import BlockSets, plan_blocks
from lift.evaluation.likelihood_options import LikelihoodOptions
from lift.evaluation.likelihood_requests import LikelihoodRequests
from lift.evaluation.log_likelihood import LogLikelihood
from lift.models.batches import BatchSize
from lift_kernels import apply_lift_kernels
from tests.lift.support.tiny import tiny_model
from tests.transformers_version import needs_packing

MASK, SIZE = 1, 3
PAIRS = [([2, 7], [4, 5, 3, 2, 6]), ([], [4, 4]), ([6, 5, 3, 2], [2, 3]), ([3, 3, 4], [2])]


def large_model():
    """In float64, with weights so large that what a token sees moves the bound by nats."""
    model = tiny_model(3).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    return model


def bound_by_definition(model, context, continuation, size, from_answer=False):
    """By loops over blocks and sets: each block behind the clean ones, alone in its forward."""
    ids, total = torch.tensor([*context, *continuation]), 0.0
    origin = len(context) if from_answer else 0
    starts = [*range(0, origin, size), *range(origin, len(ids), size)]
    for start, end in zip(starts, [*starts[1:], len(ids)], strict=True):
        own = [i for i in range(start, end) if i >= len(context)]
        block = torch.tensor([sum(start <= i for start in starts) for i in range(end)])
        pairs = (block[:, None] >= block)[None, None]
        for count in range(1, len(own) + 1):
            sets, value = list(itertools.combinations(own, count)), 0.0
            for chosen in sets:
                noisy = ids[:end].clone()
                noisy[list(chosen)] = MASK
                with torch.no_grad():
                    logits = model(noisy[None], attention_mask=pairs, position_ids=torch.arange(end)[None]).logits[0]
                value += sum(float(logits.log_softmax(-1)[i, ids[i]]) for i in chosen) / count
            total += value / len(sets)
    return total


def requests(model, block_size, *, from_answer=False, **options):
    loaded = SimpleNamespace(model=apply_lift_kernels(model), mask_token_id=MASK, unknown_ids=())
    chosen = LikelihoodOptions(greedy_check=False, **options)
    return LikelihoodRequests(
        loaded, BatchSize(5), AnswerStore(None), "", chosen, 0, block_size, from_answer=from_answer
    )


@needs_packing
def test_all_sets_of_short_blocks_are_summed_exactly():
    """At the default number of forwards, texts of unequal length, blocks that a context cuts and short last ones."""
    expected = [bound_by_definition(large_model(), *pair, SIZE) for pair in PAIRS]
    found = [value for value, _ in requests(large_model(), SIZE).pairs(PAIRS)]
    assert found == pytest.approx(expected, abs=1e-4)
    whole = [value for value, _ in requests(large_model(), None).pairs(PAIRS)]
    assert max(abs(a - b) for a, b in zip(whole, found, strict=True)) > 0.01
    assert [v for v, _ in requests(large_model(), 8).pairs(PAIRS)] == pytest.approx(whole, abs=1e-4)  # one block
    from_answer = [bound_by_definition(large_model(), *pair, SIZE, from_answer=True) for pair in PAIRS]
    again = [value for value, _ in requests(large_model(), SIZE, from_answer=True).pairs(PAIRS)]
    assert again == pytest.approx(from_answer, abs=1e-4)
    assert max(abs(a - b) for a, b in zip(again, found, strict=True)) > 1e-3


@needs_packing
def test_what_is_estimated_lies_about_the_truth():
    pair = ([2, 7], [4, 5, 3, 2, 6, 4, 7, 2])
    expected = bound_by_definition(large_model(), *pair, 5)
    (found,) = requests(large_model(), 5, num_forwards=16, num_replicates=8)._estimates([pair], False)
    assert (found.num_replicates, found.num_forwards) == (8, 16) and found.standard_error > 0
    assert abs(found.value - expected) < 4 * found.standard_error


def test_estimates_add_up_and_their_errors_in_squares():
    def plan(length, value, error, count, rows):
        is_masked = torch.ones(rows, length, dtype=torch.bool)

        def estimate(log_prob):
            assert log_prob.shape == is_masked.shape
            return LogLikelihood(value + float(log_prob.sum()), error, count, rows)

        return SimpleNamespace(is_masked=is_masked, estimate=estimate)

    sets = BlockSets([plan(2, -1.0, 3.0, 8, 4), plan(3, -2.0, 4.0, 8, 6), plan(1, -4.0, 0.0, 1, 1)])
    assert sets.is_masked.shape == (6, 6) and sets.is_masked.sum(0).tolist() == [4, 4, 6, 6, 6, 1]
    found = sets.estimate(torch.zeros(6, 6))
    assert found == LogLikelihood(-7.0, 5.0, 8, 6)
    unknown = BlockSets([plan(2, -1.0, None, 1, 4), plan(3, -2.0, 4.0, 8, 6)]).estimate(torch.zeros(6, 5))
    assert unknown.standard_error is None and math.isclose(unknown.value, -3.0)


@pytest.mark.parametrize(
    ("num_context", "num_tokens", "expected"),
    [(0, 8, [4, 4]), (0, 9, [4, 4, 1]), (3, 2, [1, 1]), (4, 4, [4]), (5, 2, [2]), (6, 10, [2, 4, 4])],
)
def test_blocks_are_counted_from_the_start_of_the_context(num_context, num_tokens, expected):
    asked = []

    def plan_block(number, length):
        asked.append((number, length))
        return plan_masks(length, seed=number)

    sets = plan_blocks(num_context, num_tokens, 4, plan_block)
    assert asked == list(enumerate(expected)) and sets.is_masked.shape[1] == num_tokens
