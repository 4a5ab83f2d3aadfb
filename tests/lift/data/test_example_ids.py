"""Rows that differ have numbers that differ."""

from __future__ import annotations

import pytest
from datasets import Dataset, concatenate_datasets
from torch.utils.data import ConcatDataset

from lift.data import number_rows, pack_dataset
from lift.data.example_ids import check_example_ids
from lift.errors import LiftError
from tests.lift.support.tiny import uneven_rows

ONE = uneven_rows(5)
OTHER = [row | {"input_ids": row["input_ids"][::-1]} for row in uneven_rows(4)]
JOINED = {
    "list": ONE + OTHER,
    "datasets": concatenate_datasets([Dataset.from_list(ONE), Dataset.from_list(OTHER)]),
    "torch": ConcatDataset([ONE, Dataset.from_list(OTHER)]),
    "prompts alone differ": ONE + [row | {"prompt_length": 3} for row in ONE],
    "packed": concatenate_datasets([pack_dataset(rows, max_length=22) for rows in (ONE, OTHER)]),
    "labelled": [{"input_ids": [1, 2], "labels": [first, 2], "example_id": 3} for first in (1, -100)],
}


@pytest.mark.parametrize("kind", JOINED)
def test_joined_data_sets_are_refused_until_they_are_numbered_anew(kind):
    rows = JOINED[kind]
    with pytest.raises(LiftError, match=r"^mine has rows that differ and share the example_id \d.*number_rows\(rows\)"):
        check_example_ids(rows, "mine")
    numbered = number_rows(rows)
    check_example_ids(numbered, "mine")
    assert [row["example_id"] for row in numbered] == list(range(len(rows)))
    assert [row["input_ids"] for row in numbered] == [rows[i]["input_ids"] for i in range(len(rows))]
    assert isinstance(numbered, Dataset) == isinstance(rows, Dataset)


def test_the_number_that_is_named_is_the_one_that_is_shared():
    rows = Dataset.from_list([{"input_ids": [n], "prompt_length": 0, "example_id": n} for n in (7, 3, 5, 4, 3)])
    check_example_ids(rows, "mine")
    other = rows.to_list()
    other[4]["input_ids"] = [9]
    for kind in (other, Dataset.from_list(other), Dataset.from_list(other).shuffle(seed=1)):
        with pytest.raises(LiftError, match="example_id 3"):
            check_example_ids(kind, "mine")


@pytest.mark.parametrize("kind", [list, Dataset.from_list])
def test_equal_rows_may_repeat(kind):
    check_example_ids(kind(ONE + ONE + ONE), "mine")


def test_streams_and_rows_without_numbers_are_not_looked_at():
    check_example_ids(iter(JOINED["list"]), "mine")
    check_example_ids(JOINED["datasets"].to_iterable_dataset(), "mine")
    check_example_ids([{"input_ids": [1]}, {"input_ids": [2]}], "mine")
    check_example_ids(JOINED["datasets"].remove_columns("example_id"), "mine")


def test_a_stream_is_numbered_in_its_order():
    stream = number_rows(JOINED["datasets"].to_iterable_dataset())
    assert [row["example_id"] for row in stream] == list(range(9))
