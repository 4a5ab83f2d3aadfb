"""Plain SFT, LIFT in two forwards and LIFT in one."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lift.objectives import (
    EASY,
    HARD,
    MIDDLE,
    choose_order,
    lift_batch,
    num_to_keep,
    one_forward_batch,
    sft_batch,
    without_first_token,
)
from lift_kernels import lift_cross_entropy

MASK = 9


def test_sft_masks_at_rate_t_and_weights_by_its_inverse(rows):
    clean, maskable, ids = rows
    time = torch.linspace(0.1, 1, 64)
    batch = sft_batch(clean, maskable, time, mask_token_id=MASK, seed=3, example_id=ids)
    is_masked = batch.input_ids == MASK
    assert torch.equal(is_masked, batch.labels != -100) and not is_masked[:, :10].any() and is_masked[63, 10:].all()
    assert torch.equal(clean.where(is_masked, MASK), batch.labels.where(is_masked, MASK))
    assert torch.equal(batch.input_ids[~is_masked], clean[~is_masked])
    share = is_masked.sum() / (time.sum() * 30)
    assert share.item() == pytest.approx(1, abs=0.06)
    torch.testing.assert_close(batch.token_weight, (1 / time)[:, None].expand(64, 40))
    assert batch.denominator == 64 * 30


def test_nothing_to_mask_divides_by_one(rows):
    clean, maskable, ids = rows
    batch = sft_batch(clean, maskable & False, torch.ones(64), mask_token_id=MASK, seed=0, example_id=ids)
    assert batch.denominator == 1 and (batch.labels == -100).all()


def test_the_first_token_can_be_protected():
    maskable = torch.tensor([[True, True, False], [False, True, True]])
    assert without_first_token(maskable).tolist() == [[False, True, False], [False, True, True]]


@pytest.mark.parametrize("mode", [EASY, MIDDLE, HARD])
def test_lift_trains_the_learnable_share_and_puts_the_rest_back(rows, mode):
    clean, maskable, ids = rows
    time, rate = torch.full((64,), 0.4), torch.full((64,), 0.3)
    log_prob = -torch.rand(64, 40)
    seen = {}

    def score(input_ids, labels, order):
        seen.update(input_ids=input_ids, labels=labels, order=order)
        return log_prob

    order = torch.full((64,), mode)
    taken = lift_batch(clean, maskable, time, rate, order, score, mask_token_id=MASK, seed=3, example_id=ids)
    batch = taken.batch
    assert torch.equal(taken.is_masked, seen["labels"] != -100) and taken.log_prob is log_prob
    assert torch.equal(taken.num_keep, (batch.labels != -100).sum(1))
    is_overmasked, is_kept = seen["labels"] != -100, batch.labels != -100
    assert torch.equal(seen["input_ids"] == MASK, is_overmasked) and seen["order"] is order
    assert is_overmasked.sum() / (64 * 30) == pytest.approx(0.7, abs=0.05)
    assert (is_kept & ~is_overmasked).sum() == 0
    assert torch.equal(is_kept.sum(1), num_to_keep(is_overmasked.sum(1), time, rate, order))
    assert torch.equal(batch.input_ids, clean.masked_fill(is_kept, MASK))
    assert torch.equal(batch.labels[is_kept], clean[is_kept])
    torch.testing.assert_close(batch.token_weight, torch.full((64, 40), 2.5))  # 1/t, not 1/(t + rho)
    if mode != MIDDLE:
        gain = mode * log_prob
        for row in range(64):
            kept, rejected = gain[row][is_kept[row]], gain[row][is_overmasked[row] & ~is_kept[row]]
            assert not len(kept) or not len(rejected) or kept.min() >= rejected.max()


def test_lift_passes_its_options_on(rows):
    clean, maskable, ids = rows
    few, many = torch.full((64,), 0.001), torch.full((64,), 0.9)
    batch = lift_batch(
        clean, maskable, few, many, torch.full((64,), HARD), lambda *_: -torch.rand(64, 40), mask_token_id=MASK, seed=3,
        example_id=ids, time_scaling=False, min_keep=2,
    ).batch  # fmt: skip
    assert ((batch.labels != -100).sum(1) == 2).all()
    assert (batch.token_weight == 1).all()


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(12)), st.integers(1, 12), st.booleans())
def test_a_row_is_masked_alike_in_any_batch(permutation, num_rows, one_forward):
    generator = torch.Generator().manual_seed(0)
    clean = torch.randint(MASK, (12, 40), generator=generator)
    maskable = (torch.arange(40) >= 10).expand(12, 40)
    time, rate = (torch.rand(12, generator=generator) * a + b for a, b in ((0.9, 0.1), (0.5, 0)))
    log_prob = -torch.rand(12, 40, generator=generator)
    order, ids = choose_order(time, "lift3"), torch.arange(12) * 7

    def run(keep):
        arguments = (clean[keep], maskable[keep], time[keep], rate[keep], order[keep])
        names = {"mask_token_id": MASK, "seed": 3, "example_id": ids[keep]}
        if one_forward:
            return one_forward_batch(*arguments, **names).batch
        return lift_batch(*arguments, lambda *_: log_prob[keep], **names).batch

    some = torch.tensor(permutation[:num_rows])
    whole, part = run(torch.arange(12)), run(some)
    assert torch.equal(whole.input_ids[some], part.input_ids)
    assert torch.equal(whole.labels[some], part.labels)
    assert torch.equal(whole.token_weight[some], part.token_weight)


@pytest.mark.parametrize("time", [0.2, 0.5])
def test_the_middle_mode_is_unbiased(time):
    """A random share t / (t + rho) of tokens masked at t + rho is a mask at rate t: weighted by 1/t, every position
    counts as in SFT, once in expectation."""
    n, length = 4000, 50
    clean, maskable = torch.zeros(n, length, dtype=torch.int64), torch.ones(n, length, dtype=torch.bool)
    timestep, rate, order = torch.full((n,), time), torch.full((n,), 0.3), torch.zeros(n, dtype=torch.int64)
    names = {"mask_token_id": MASK, "seed": 0, "example_id": torch.arange(n)}
    middle = lift_batch(clean, maskable, timestep, rate, order, lambda *_: torch.zeros(n, length), **names).batch
    sft = sft_batch(clean, maskable, timestep, **names)
    deviation = ((1 - time) / time / n) ** 0.5
    for batch in (middle, sft):
        count = ((batch.labels != -100) * batch.token_weight).mean(0)
        assert (count - 1).abs().max() < 4.5 * deviation
        assert count.mean().item() == pytest.approx(1, abs=4 * deviation / length**0.5)


def test_one_forward_leaves_the_choice_to_the_loss(rows):
    """Easy and hard rows stay masked at t + rho; what the loss then keeps is what two forwards would keep."""
    clean, maskable, ids = rows
    time, rate = torch.linspace(0.1, 0.9, 64), torch.full((64,), 0.1)
    order = choose_order(time, "lift3")
    names = {"mask_token_id": MASK, "seed": 3, "example_id": ids}
    hidden_states, weight = torch.randn(64, 40, 8), torch.randn(10, 8)
    log_probs = (hidden_states @ weight.T).log_softmax(-1)
    is_overmasked = []

    def score(_input_ids, labels, _order):
        is_overmasked.append(labels != -100)
        return log_probs.gather(-1, clean[..., None])[..., 0]

    two = lift_batch(clean, maskable, time, rate, order, score, **names).batch
    batch, num_keep, out_order = one_forward_batch(clean, maskable, time, rate, order, **names)
    is_masked, is_middle = batch.labels != -100, order == MIDDLE
    assert is_middle.any() and not is_middle.all() and torch.equal(out_order, order)
    assert torch.equal(batch.input_ids, clean.masked_fill(is_masked, MASK))
    assert torch.equal(is_masked[~is_middle], is_overmasked[0][~is_middle])
    assert torch.equal(batch.input_ids[is_middle], two.input_ids[is_middle])
    assert batch.denominator == 64 * 30
    loss, is_kept = lift_cross_entropy(
        hidden_states, weight, batch.labels, time, num_keep, order, denominator=batch.denominator, seed=3, row_ids=ids,
        return_learnability=True,
    )  # fmt: skip
    assert torch.equal(is_kept, two.labels != -100)
    truth = -(score(None, two.labels, None) * is_kept / time[:, None]).sum() / (64 * 30)
    torch.testing.assert_close(loss, truth)


def test_soft_one_forward_keeps_middle_rows_masked_too(rows):
    clean, maskable, ids = rows
    time, rate, order = torch.full((64,), 0.4), torch.full((64,), 0.4), torch.full((64,), MIDDLE)
    names = {"mask_token_id": MASK, "seed": 3, "example_id": ids, "time_scaling": False, "min_keep": 20}
    soft = one_forward_batch(clean, maskable, time, rate, order, learnability="soft", **names)
    hard = one_forward_batch(clean, maskable, time, rate, order, **names)
    num_masked = (soft.batch.labels != -100).sum(1)
    assert num_masked.sum() / (64 * 30) == pytest.approx(0.8, abs=0.05)
    assert torch.equal((hard.batch.labels != -100).sum(1), hard.num_keep) and torch.equal(hard.num_keep, soft.num_keep)
    assert torch.equal(soft.num_keep, num_masked.clamp(max=20)) and (soft.batch.token_weight == 1).all()
