"""How many rows a forward takes."""

from __future__ import annotations

import pytest
import torch

from lift.errors import LiftError
from lift.models.batches import BatchSize


@pytest.mark.parametrize("size", ["auto", "auto:4"])
def test_a_batch_that_does_not_fit_is_halved_and_stays_so(size):
    tried = []

    def run(batch):
        tried.append(len(batch))
        if len(batch) > 3:
            raise torch.OutOfMemoryError("no room")
        return len(batch)

    batch_size = BatchSize(size, 16)
    assert [(list(batch), made) for batch, made in batch_size.batches(list(range(7)), run)] == [
        ([0, 1, 2], 3), ([3, 4, 5], 3), ([6], 1),
    ]  # fmt: skip
    assert batch_size.rows == 3 and tried == [7, 3, 3, 1]
    with pytest.raises(torch.OutOfMemoryError):
        list(BatchSize(8).batches(list(range(8)), run))


def test_a_row_that_does_not_fit_is_said():
    def run(batch):
        raise torch.OutOfMemoryError("no room")

    with pytest.raises(torch.OutOfMemoryError):
        list(BatchSize("auto", 4).batches([1], run))


@pytest.mark.parametrize("size", [0, -1, "many", "1.5"])
def test_what_is_no_size_is_refused(size):
    with pytest.raises(LiftError, match="batch_size must be a whole number of at least 1, or auto"):
        BatchSize(size)


def test_a_number_may_be_a_word_and_none_is_one_row():
    assert (BatchSize("7").rows, BatchSize(None).rows, BatchSize("auto").rows) == (7, 1, 64)
