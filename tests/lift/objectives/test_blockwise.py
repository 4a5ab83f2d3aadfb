from __future__ import annotations

import pytest
import torch

from lift.objectives.blockwise import blockwise_batch
from lift.objectives.micro_batch import build_training_batch
from lift_kernels import reference
from tests.lift.support.clean_rows import LENGTH, MASK, NUM_ROWS, PROMPT, clean_rows

SIZE = 5


@pytest.mark.parametrize("pad_in_loss", [True, False])
def test_one_block_is_trained_behind_clean_tokens_and_before_masks(pad_in_loss):
    rows = clean_rows("blockwise", pad_in_loss=pad_in_loss, answer_block=SIZE)
    prepared = build_training_batch(rows)
    batch, chosen = prepared.batch, []
    for row, length in enumerate(rows.lengths):
        ids, labels = batch.input_ids[row].tolist(), batch.labels[row].tolist()
        trained = [i for i in range(LENGTH) if labels[i] != -100]
        number = -(-(length - PROMPT) // SIZE)
        word = reference.random_word(rows.seed, int(rows.example_id[row]), 5, 2)
        start = PROMPT + word * number // 2**32 * SIZE
        end = min(start + SIZE, length)
        chosen.append(start)
        for i in range(LENGTH):
            clean = int(rows.clean_ids[row, i])
            draw = (reference.random_word(rows.seed, int(rows.example_id[row]), i, 0) >> 8) / 2**24
            if start <= i < end and draw < float(rows.draws.timestep[row]):
                assert ids[i] == MASK and labels[i] == clean
            else:
                assert labels[i] == -100 and ids[i] == (MASK if end <= i < length else clean)
        if trained:
            assert batch.token_weight[row, trained].unique().tolist() == pytest.approx([1 / len(trained)])
    assert len(set(chosen)) > 1
    assert batch.denominator == NUM_ROWS and torch.equal(prepared.maskable.sum(1), torch.ones(NUM_ROWS).long())


def test_each_block_is_as_likely_and_rows_without_a_response_do_not_count():
    clean = torch.zeros(900, 14, dtype=torch.int64)
    response = (torch.arange(14) >= 3).expand(900, 14).clone()
    response[-1] = False
    batch = blockwise_batch(
        clean, response, torch.ones(900), block_size=4, mask_token_id=MASK, seed=0, example_id=torch.arange(900)
    )
    first = (batch.labels[:-1] != -100).int().argmax(1)
    counts = first.bincount(minlength=12)
    assert counts[[3, 7, 11]].sum() == 899 and counts[[3, 7, 11]].min() > 250
    assert (batch.labels[-1] == -100).all() and batch.denominator == 899
    assert (batch.token_weight * (batch.labels != -100)).sum().item() == pytest.approx(899)
