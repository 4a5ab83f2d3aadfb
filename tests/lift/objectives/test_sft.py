"""Plain SFT: every token that is masked at rate t, weighted by 1/t."""

from __future__ import annotations

import pytest
import torch

from lift.objectives import (
    sft,
    sft_batch,
)
from lift_kernels import reference
from tests.lift.support.clean_rows import MASK, clean_rows


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


@pytest.mark.parametrize("pad_in_loss", [True, False])
def test_a_token_is_masked_where_its_own_draw_lies_below_the_time(pad_in_loss):
    rows = clean_rows("sft", pad_in_loss=pad_in_loss)
    prepared = sft.build(rows)
    corrupted, is_masked = reference.corrupt_tokens(
        rows.clean_ids, rows.draws.timestep, mask_token_id=MASK, seed=rows.seed, maskable=rows.maskable,
        row_ids=rows.example_id,
    )  # fmt: skip
    assert torch.equal(prepared.batch.input_ids, corrupted) and torch.equal(prepared.batch.labels != -100, is_masked)
    assert torch.equal(prepared.maskable, rows.maskable) and prepared.draws is rows.draws
    assert prepared.batch.denominator == rows.maskable.sum()
    assert prepared.rejected is None and prepared.one_forward is None
