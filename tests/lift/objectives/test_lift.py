"""LIFT in two forwards: which tokens are trained, which are put back, and what is said of them."""

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
    lift,
    lift_batch,
    num_to_keep,
    one_forward_batch,
    sft_batch,
)
from lift.objectives.complementary import maskable_of_views
from lift_kernels import reference
from lift_kernels.models import OneForward
from tests.lift.support.clean_rows import MASK, NUM_ROWS, clean_rows, scores_of_ranked_rows


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


def masked_at_both_rates(rows):
    _, is_masked = reference.corrupt_tokens(
        rows.clean_ids, rows.draws.timestep + rows.draws.rho, mask_token_id=MASK, seed=rows.seed,
        maskable=rows.maskable, row_ids=rows.example_id,
    )  # fmt: skip
    return is_masked


@pytest.mark.parametrize("pad_in_loss", [True, False])
def test_a_token_is_rejected_where_its_row_ranks_and_it_is_not_kept(pad_in_loss):
    """Middle rows reject nothing: they have no scores, and zeros would be averaged into the log."""
    rows = clean_rows("lift3", pad_in_loss=pad_in_loss)
    prepared = lift.build(rows)
    is_masked, is_kept = masked_at_both_rates(rows), prepared.batch.labels != -100
    is_middle = rows.draws.order == MIDDLE
    assert (is_masked & ~is_kept)[is_middle].any() and (is_masked & ~is_kept)[~is_middle].any()
    assert torch.equal(prepared.rejected[~is_middle], (is_masked & ~is_kept)[~is_middle])
    assert not prepared.rejected[is_middle].any()
    assert (prepared.rejected_log_prob[prepared.rejected] < -0.09).all()
    assert torch.equal(prepared.maskable, rows.maskable) and prepared.draws is rows.draws


@pytest.mark.parametrize("options", [{}, {"time_scaling": False, "min_keep": 3}], ids=str)
def test_what_a_row_trains_follows_its_draws_and_options(options):
    rows = clean_rows("lift3", **options)
    batch, is_masked, draws = lift.build(rows).batch, masked_at_both_rates(rows), rows.draws
    num_keep = num_to_keep(is_masked.sum(1), draws.timestep, draws.rho, draws.order, min_keep=options.get("min_keep"))
    assert torch.equal((batch.labels != -100).sum(1), num_keep)
    weight = 1 / draws.timestep if not options else torch.ones(NUM_ROWS)
    assert torch.equal(batch.token_weight[:, 0], weight) and batch.denominator == rows.maskable.sum()
    words = [[reference.random_word(11, e, p, 1) for p in range(20)] for e in rows.example_id.tolist()]
    gain = torch.where(
        (draws.order == MIDDLE)[:, None], torch.tensor(words).double(),
        draws.order[:, None] * scores_of_ranked_rows(rows.clean_ids, rows.clean_ids, draws.order).double(),
    )  # fmt: skip
    for row in range(NUM_ROWS):
        best = gain[row].masked_fill(~is_masked[row], -torch.inf).argsort(descending=True)[: num_keep[row]]
        assert (batch.labels[row] != -100).nonzero()[:, 0].tolist() == sorted(best.tolist())


@pytest.mark.parametrize("time_scaling", [True, False])
def test_an_unordered_middle_changes_middle_rows_alone(time_scaling):
    rows = clean_rows("lift3", middle_select="unordered", time_scaling=time_scaling)
    exact = lift.build(clean_rows("lift3", time_scaling=time_scaling))
    is_middle, is_masked = rows.draws.order == MIDDLE, masked_at_both_rates(rows)
    drawn = []
    for seed in range(2):
        torch.manual_seed(seed)
        prepared = lift.build(rows)
        is_kept = prepared.batch.labels != -100
        assert torch.equal(prepared.batch.labels[~is_middle], exact.batch.labels[~is_middle])
        assert not (is_kept & ~is_masked).any() and is_kept[is_middle].any()
        assert (is_kept.sum(1) <= (exact.batch.labels != -100).sum(1)).all()
        assert torch.equal(prepared.batch.token_weight, exact.batch.token_weight)
        assert torch.equal(prepared.batch.input_ids == MASK, is_kept) and torch.equal(prepared.rejected, exact.rejected)
        drawn.append(is_kept[is_middle])
    assert not torch.equal(*drawn)


@pytest.mark.parametrize("options", [{}, {"time_scaling": False}, {"reference_quirks": True}], ids=str)
def test_middle_rows_get_a_second_view_where_complements_are_asked_for(options):
    rows = clean_rows("lift3", complementary=True, **options)
    torch.manual_seed(0)
    prepared = lift.build(rows)
    torch.manual_seed(0)
    one_view = lift.build(clean_rows("lift3", **options))
    batch, is_middle = prepared.batch, rows.draws.order == MIDDLE
    assert torch.equal(batch.labels[:NUM_ROWS], one_view.batch.labels)
    first, second = (batch.labels != -100).chunk(2)
    assert torch.equal(second, rows.maskable & ~first & is_middle[:, None])
    assert torch.equal(prepared.maskable, maskable_of_views(rows.maskable, rows.draws.order))
    is_published = "reference_quirks" in options
    assert batch.denominator == (rows.maskable if is_published else prepared.maskable).sum()
    weight = 1 / (1 - rows.draws.timestep).clamp(min=1e-3) if "time_scaling" not in options else torch.ones(NUM_ROWS)
    assert torch.equal(batch.token_weight[NUM_ROWS:, 0], weight)
    assert prepared.rejected.shape == rows.clean_ids.shape and torch.equal(prepared.rejected, one_view.rejected)


def test_one_forward_is_taken_where_it_is_asked_for():
    assert isinstance(lift.build(clean_rows("lift3", one_forward=True)).one_forward, OneForward)
    assert lift.build(clean_rows("lift3")).one_forward is None
