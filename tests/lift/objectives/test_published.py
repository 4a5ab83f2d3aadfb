from __future__ import annotations

from itertools import islice

import pytest
import torch

from lift.objectives import EASY, HARD, MIDDLE, random_orders, score_in_logits_dtype, select_unordered


@pytest.mark.parametrize(("method", "modes"), [("lift2", {EASY, HARD}), ("lift3", {MIDDLE, EASY, HARD})])
def test_random_modes_start_anew_in_every_run(method, modes):
    drawn = list(islice(random_orders(method), 300))
    assert drawn == list(islice(random_orders(method), 300)) and set(drawn) == modes


def test_an_unordered_selection_takes_the_first_columns_and_drops_what_is_not_masked():
    is_masked = torch.tensor([[True, True, False, True], [True, True, True, True]])
    indices = torch.tensor([[2, 3, 0], [1, 0, 3]])
    kept = select_unordered(indices, is_masked, torch.tensor([2, 3]))
    assert kept.tolist() == [[False, False, False, True], [True, True, False, True]]
    assert not select_unordered(indices[:, :0], is_masked, torch.tensor([0, 0])).any()


def test_scores_in_bfloat16_tie():
    logits = torch.randn(1, 1024, 97)
    labels = torch.randint(97, (1, 1024))
    labels[0, 7] = -100
    single, half = score_in_logits_dtype(logits, labels), score_in_logits_dtype(logits.bfloat16(), labels)
    assert half.dtype == torch.bfloat16 and single[0, 7] == half[0, 7] == 0
    torch.testing.assert_close(single[0, 0], logits.log_softmax(-1)[0, 0, labels[0, 0]])
    assert len(single.unique()) > 1000 > 500 > len(half.unique())
