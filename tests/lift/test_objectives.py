from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lift.objectives import EASY, HARD, MIDDLE, choose_order, draw_order, lift_batch, num_to_keep, sft_batch

MASK = 9


def test_lift3_switches_at_one_third_and_two_thirds():
    """The neighbouring float32 times where the published code was measured to switch."""
    time = torch.tensor([0.001, 0.33333328, 0.33333331, 0.5, 0.66666669, 0.66666675, 1.0])
    assert choose_order(time, "lift3").tolist() == [HARD, HARD, MIDDLE, MIDDLE, MIDDLE, EASY, EASY]


def test_lift2_switches_at_one_half():
    assert choose_order(torch.tensor([0.001, 0.4999999, 0.5, 1.0]), "lift2").tolist() == [HARD, HARD, EASY, EASY]


def test_bands_are_thirds():
    order = choose_order(torch.arange(1, 30_001) / 30_000, "lift3")
    for mode in (EASY, MIDDLE, HARD):
        assert (order == mode).float().mean().item() == pytest.approx(1 / 3, abs=1e-4)


@pytest.mark.parametrize(("method", "modes"), [("lift2", {EASY, HARD}), ("lift3", {EASY, MIDDLE, HARD})])
def test_random_modes_are_uniform(method, modes):
    order = draw_order(torch.arange(0, 2**32, 2**20), method)
    assert set(order.tolist()) == modes
    for mode in modes:
        assert (order == mode).float().mean().item() == pytest.approx(1 / len(modes), abs=1e-3)


def test_num_to_keep_rounds_half_to_even_and_keeps_one_in_the_middle():
    half = torch.full((6,), 0.5)
    order = torch.tensor([EASY, HARD, EASY, MIDDLE, MIDDLE, MIDDLE])
    masked = torch.tensor([1, 3, 5, 1, 0, 5])
    assert num_to_keep(masked, half, half, order).tolist() == [0, 2, 2, 1, 0, 2]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 500), st.floats(1e-3, 1), st.floats(0, 1), st.sampled_from([EASY, MIDDLE, HARD]))
def test_num_to_keep_stays_within_the_masked(masked, time, rate, mode):
    kept = num_to_keep(torch.tensor([masked]), torch.tensor([time]), torch.tensor([rate]), torch.tensor([mode])).item()
    assert 0 <= kept <= masked
    assert abs(kept - masked * time / (time + rate)) <= 1 or mode == MIDDLE


@pytest.fixture
def rows():
    clean = torch.randint(MASK, (64, 40))
    maskable = (torch.arange(40) >= 10).expand(64, 40).clone()
    return clean, maskable, torch.arange(64)


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
    batch = lift_batch(clean, maskable, time, rate, order, score, mask_token_id=MASK, seed=3, example_id=ids)
    is_overmasked, is_kept = seen["labels"] != -100, batch.labels != -100
    assert torch.equal(seen["input_ids"] == MASK, is_overmasked)
    assert (is_kept & ~is_overmasked).sum() == 0
    assert torch.equal(is_kept.sum(1), num_to_keep(is_overmasked.sum(1), time, rate, order))
    assert torch.equal(batch.input_ids, clean.masked_fill(is_kept, MASK))
    torch.testing.assert_close(batch.token_weight, torch.full((64, 40), 2.5))  # 1/t, not 1/(t + rho)
    if mode != MIDDLE:
        gain = mode * log_prob
        for row in range(64):
            kept, rejected = gain[row][is_kept[row]], gain[row][is_overmasked[row] & ~is_kept[row]]
            assert not len(kept) or not len(rejected) or kept.min() >= rejected.max()


def test_masks_do_not_depend_on_the_batch(rows):
    clean, maskable, ids = rows
    time, rate = torch.rand(64) * 0.9 + 0.1, torch.rand(64) * 0.5
    order = choose_order(time, "lift3")
    log_prob = -torch.rand(64, 40)

    def run(keep):
        return lift_batch(
            clean[keep], maskable[keep], time[keep], rate[keep], order[keep], lambda *_: log_prob[keep],
            mask_token_id=MASK, seed=3, example_id=ids[keep],
        )  # fmt: skip

    whole, some = run(torch.arange(64)), run(torch.tensor([40, 3, 7]))
    assert torch.equal(whole.input_ids[[40, 3, 7]], some.input_ids)


def test_the_middle_mode_is_unbiased():
    """A random share t / (t + rho) of tokens masked at t + rho is a mask at rate t: its expected loss is that of SFT."""
    n, length, time = 4000, 50, 0.5
    clean = torch.zeros(n, length, dtype=torch.int64)
    nll = torch.rand(length)
    maskable = torch.ones(n, length, dtype=torch.bool)
    timestep, rate, order = torch.full((n,), time), torch.full((n,), 0.3), torch.zeros(n, dtype=torch.int64)
    batch = lift_batch(
        clean, maskable, timestep, rate, order, lambda *_: torch.zeros(n, length), mask_token_id=MASK, seed=0,
        example_id=torch.arange(n),
    )  # fmt: skip
    loss = ((batch.labels != -100) * batch.token_weight * nll).sum() / batch.denominator
    assert loss.item() == pytest.approx(nll.mean().item(), rel=0.01)


def test_nothing_to_mask_divides_by_one(rows):
    clean, maskable, ids = rows
    batch = sft_batch(clean, maskable & False, torch.ones(64), mask_token_id=MASK, seed=0, example_id=ids)
    assert batch.denominator == 1 and (batch.labels == -100).all()
