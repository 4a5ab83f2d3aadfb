"""A column of a whole data set, of whatever kind."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from datasets import Dataset

from lift.data.row_columns import example_ids, is_stream, row_lengths
from tests.lift.support.tiny import uneven_rows

ROWS = uneven_rows(6)
TABLE = Dataset.from_list(ROWS)
LENGTHS = [len(row["input_ids"]) for row in ROWS]


class Endless(torch.utils.data.Dataset):
    """Has a length, and no end that an iteration would see."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return ROWS[index % 6]


@pytest.mark.parametrize(
    "rows", [ROWS, TABLE, TABLE.with_format("torch"), Endless()], ids=["list", "table", "t", "torch"]
)
def test_columns(rows):
    assert row_lengths(rows).tolist() == LENGTHS and example_ids(rows).tolist() == list(range(6))
    assert row_lengths(rows).dtype == example_ids(rows).dtype == np.int64 and not is_stream(rows)


def test_rows_that_were_chosen_count_in_their_order():
    chosen = TABLE.select([4, 1])
    assert row_lengths(chosen).tolist() == [LENGTHS[4], LENGTHS[1]] and example_ids(chosen).tolist() == [4, 1]


class Stream(torch.utils.data.IterableDataset):
    def __len__(self):
        return 6

    def __iter__(self):
        return iter(ROWS)


def test_streams_and_missing_columns_have_none():
    for stream in (iter(ROWS), TABLE.to_iterable_dataset(), Stream()):
        assert is_stream(stream) and row_lengths(stream) is None and example_ids(stream) is None
    for rows in ([{"a": 1}], Dataset.from_list([{"a": 1}])):
        assert row_lengths(rows) is None and example_ids(rows) is None
    assert row_lengths([]).tolist() == []
