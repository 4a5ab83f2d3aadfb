"""LIFT in one forward: which tokens stay masked, and what the loss is told."""

from __future__ import annotations

import pytest
import torch

from lift.objectives import (
    MIDDLE,
    choose_order,
    lift_batch,
    num_to_keep,
    one_forward,
    one_forward_batch,
)
from lift_kernels import lift_cross_entropy, reference
from tests.lift.support.clean_rows import MASK, NUM_ROWS, clean_rows


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


@pytest.mark.parametrize("learnability", ["hard", "soft"])
@pytest.mark.parametrize("time_scaling", [True, False])
def test_the_loss_is_told_what_was_drawn(learnability, time_scaling):
    rows = clean_rows(
        "lift3",
        one_forward=True,
        learnability=learnability,
        soft_temperature=0.7,
        time_scaling=time_scaling,
        min_keep=2,
    )
    prepared = one_forward.build(rows)
    draws, batch, told = rows.draws, prepared.batch, prepared.one_forward
    _, is_masked = reference.corrupt_tokens(
        rows.clean_ids, draws.timestep + draws.rho, mask_token_id=MASK, seed=rows.seed, maskable=rows.maskable,
        row_ids=rows.example_id,
    )  # fmt: skip
    is_middle = draws.order == MIDDLE
    assert is_middle.any() and not is_middle.all()
    whole = slice(None) if learnability == "soft" else ~is_middle
    assert torch.equal((batch.labels != -100)[whole], is_masked[whole])
    num_keep = num_to_keep(is_masked.sum(1), draws.timestep, draws.rho, draws.order, min_keep=2)
    assert torch.equal(told.num_keep, num_keep) and (num_keep[is_masked.sum(1) > 1] >= 2).all()
    if learnability == "hard":
        exact = lift_batch(
            rows.clean_ids, rows.maskable, draws.timestep, draws.rho, draws.order, rows.score, min_keep=2,
            **rows.mask_draw,
        ).batch  # fmt: skip
        assert torch.equal(batch.labels[is_middle], exact.labels[is_middle])
    assert told.timestep is draws.timestep and told.order is draws.order and told.row_ids is rows.example_id
    assert (told.learnability, told.temperature, told.time_scaling, told.seed) == (learnability, 0.7, time_scaling, 11)
    weight = 1 / draws.timestep if time_scaling else torch.ones(NUM_ROWS)
    assert torch.equal(prepared.row_weight, weight) and torch.equal(batch.token_weight[:, 0], weight)
    assert batch.denominator == rows.maskable.sum() and torch.equal(prepared.maskable, rows.maskable)
