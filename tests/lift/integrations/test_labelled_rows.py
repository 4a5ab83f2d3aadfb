"""Rows of `input_ids` and `labels`: what they must be, what may be masked, and how they are named."""

from __future__ import annotations

import pytest
import torch

from lift import LiftError
from lift.integrations.labelled_rows import LabelledRowsCollator, content_id


def test_rows_are_checked_and_named_by_their_content():
    collate = LabelledRowsCollator(0)
    batch = collate([{"input_ids": [2, 3, 4], "labels": [-100, 3, -100]}, {"input_ids": [2], "labels": [2]}])
    assert batch["maskable"].tolist() == [[False, True, False], [True, True, True]]  # padding too
    assert batch["host_example_id"] == (content_id([2, 3, 4]), content_id([2]))
    assert content_id([2, 3, 4]) == content_id(torch.tensor([2, 3, 4])) != content_id([4, 3, 2])
    with pytest.raises(LiftError, match="lacks labels"):
        collate([{"input_ids": [2, 3]}])
    for labels in ([3, 4, -100], [2, 3]):
        with pytest.raises(LiftError, match="must be the row's own input_ids"):
            collate([{"input_ids": [2, 3, 4], "labels": labels}])


ROWS = [{"input_ids": [2, 3, 4], "labels": [2, 3, -100]}, {"input_ids": [5], "labels": [5], "example_id": 9}]


@pytest.mark.parametrize("predicts_next", [True, False])
@pytest.mark.parametrize("pad_in_loss", [True, False])
def test_labels_are_the_clean_tokens_that_may_be_masked(pad_in_loss, predicts_next):
    collate = LabelledRowsCollator(0, keep_labels=True, pad_in_loss=pad_in_loss, predicts_next=predicts_next)
    batch = collate(ROWS)
    pad = 0 if pad_in_loss else -100
    assert batch["labels"].tolist() == [
        [-100 if predicts_next else 2, 3, -100],
        [-100 if predicts_next else 5, pad, pad],
    ]
    assert torch.equal(batch["labels"] != -100, batch["maskable"])
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 1] if pad_in_loss else [1, 0, 0]]
    assert batch["input_ids"].tolist() == [[2, 3, 4], [5, 0, 0]] and batch["example_id"].tolist()[1] == 9
    assert "labels" not in LabelledRowsCollator(0, pad_in_loss=pad_in_loss)(ROWS)
