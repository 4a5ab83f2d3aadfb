from __future__ import annotations

import torch

from lift.objectives import sft
from lift.objectives.micro_batch import build_training_batch
from lift.objectives.mirror import mirror_batch
from lift_kernels import reference
from tests.lift.support.clean_rows import MASK, NUM_ROWS, clean_rows


def test_the_first_view_is_sft_and_the_second_masks_where_the_draw_lies_above():
    rows = clean_rows("mirror", pad_in_loss=False)
    prepared, plain = build_training_batch(rows), sft.build(rows).batch
    labels, ids = prepared.batch.labels.chunk(2), prepared.batch.input_ids.chunk(2)
    assert torch.equal(labels[0], plain.labels) and torch.equal(ids[0], plain.input_ids)
    for row, column in rows.maskable.nonzero().tolist():
        draw = (reference.random_word(rows.seed, int(rows.example_id[row]), column, 0) >> 8) / 2**24
        is_masked = 1 - 2**-24 - draw < float(rows.draws.timestep[row])
        assert (labels[1][row, column] != -100) == is_masked
        assert (ids[1][row, column] == MASK) == is_masked
    assert not (labels[1][~rows.maskable] != -100).any()
    assert prepared.batch.denominator == prepared.maskable.sum() == 2 * rows.maskable.sum()


def test_the_views_overlap_only_above_one_half():
    time = torch.tensor([0.3, 0.5, 0.8]).repeat_interleave(200)
    clean = torch.zeros(600, 30, dtype=torch.int64)
    batch = mirror_batch(
        clean, torch.ones_like(clean, dtype=torch.bool), time, mask_token_id=MASK, seed=0, example_id=torch.arange(600)
    )
    first, second = (batch.labels != -100).chunk(2)
    both, either = (first & second).view(3, -1), (first | second).view(3, -1)
    assert not both[:2].any() and either[1].float().mean() > 0.99 and either[2].all()
    assert abs(second.view(3, -1).float().mean(1) - torch.tensor([0.3, 0.5, 0.8])).max() < 0.02
    assert torch.equal(batch.token_weight[:600], batch.token_weight[600:])


def test_one_view_weighs_as_the_other():
    batch = build_training_batch(clean_rows("mirror", time_scaling=False)).batch
    assert batch.labels.shape[0] == 2 * NUM_ROWS and (batch.token_weight == 1).all()
