"""Packing: every example once, whole and in its own boundaries, in as few rows as best-fit decreasing takes."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from datasets import Dataset

from lift.data import is_packed, pack_dataset
from lift.data.packing import best_fit_decreasing
from lift.errors import LiftError
from tests.lift.support.tiny import uneven_rows


def row(example_id: int, ids: list[int], prompt_length: int) -> dict[str, Any]:
    return {"input_ids": ids, "prompt_length": prompt_length, "example_id": example_id}


ROWS = [row(10, [1, 2], 1), row(11, [3, 4, 5, 6, 7], 2), row(13, [8, 9, 10], 0), row(14, [11], 1)]


@pytest.mark.parametrize("rows", [ROWS, Dataset.from_list(ROWS)], ids=["list", "data set"])
def test_rows_by_hand(rows: Any, caplog: pytest.LogCaptureFixture) -> None:
    """5 first; 3 needs a row of its own; 2 fits into both and goes to the fuller; so does 1, into the other."""
    with caplog.at_level(logging.INFO, logger="lift"):
        packed = pack_dataset(rows, max_length=7)
    assert packed.to_list() == [
        {
            "input_ids": [3, 4, 5, 6, 7, 1, 2],
            "example_id": 11,
            "segment_lengths": [5, 2],
            "segment_prompt_lengths": [2, 1],
            "segment_example_ids": [11, 10],
        },
        {
            "input_ids": [8, 9, 10, 11],
            "example_id": 13,
            "segment_lengths": [3, 1],
            "segment_prompt_lengths": [0, 1],
            "segment_example_ids": [13, 14],
        },
    ]
    assert caplog.messages == ["4 examples were packed into 2 rows of at most 7 tokens, 79 % full"]
    assert is_packed(packed) and is_packed(packed.to_list()) and not is_packed(rows)


def test_a_selection_of_rows_is_packed_and_not_what_lies_behind_it() -> None:
    packed = pack_dataset(Dataset.from_list(ROWS).select([3, 0]), max_length=3)
    assert packed["input_ids"][:] == [[1, 2, 11]] and packed["segment_example_ids"][:] == [[10, 14]]


@pytest.mark.parametrize("width", [22, 23, 40, 64, 1000])
def test_no_example_is_lost_cut_or_doubled(width: int) -> None:
    examples = uneven_rows(300)
    packed = pack_dataset(examples, max_length=width).to_list()
    found = {}
    for one in packed:
        assert len(one["input_ids"]) == sum(one["segment_lengths"]) <= width
        assert one["example_id"] == one["segment_example_ids"][0]
        ids = iter(one["input_ids"])
        for example_id, length, prompt in zip(
            one["segment_example_ids"], one["segment_lengths"], one["segment_prompt_lengths"], strict=True
        ):
            found[example_id] = row(example_id, [next(ids) for _ in range(length)], prompt)
    assert sum(len(one["segment_lengths"]) for one in packed) == 300
    assert [found[i] for i in range(300)] == examples


@pytest.mark.parametrize("width", [30, 50, 200])
def test_best_fit_decreasing_against_its_definition(width: int) -> None:
    lengths = torch.randint(1, 31, (400,)).tolist()
    rooms: list[int] = []
    truth: list[list[int]] = []
    for index in sorted(range(400), key=lambda i: (-lengths[i], i)):
        fitting = [(room, i) for i, room in enumerate(rooms) if room >= lengths[index]]
        if not fitting:
            rooms.append(width)
            truth.append([])
        chosen = min(fitting)[1] if fitting else len(rooms) - 1
        rooms[chosen] -= lengths[index]
        truth[chosen].append(index)
    packed = best_fit_decreasing(lengths, width)
    # Which of two rows with equal room is taken does not matter to how full they get.
    assert len(packed) == len(truth) and packed == best_fit_decreasing(lengths, width)
    assert sorted(sum(lengths[i] for i in one) for one in packed) == sorted(width - room for room in rooms)


def test_packing_saves_rows() -> None:
    """2000 rows of 5 to 22 tokens into rows of 64: under 2 % of the places stay empty."""
    examples = uneven_rows(2000)
    num_tokens = sum(len(one["input_ids"]) for one in examples)
    assert len(pack_dataset(examples, max_length=64)) * 64 < 1.02 * num_tokens


def test_bad_rows() -> None:
    with pytest.raises(LiftError, match="example 11 has 5 tokens, more than max_length=4 of packing: prepare the"):
        pack_dataset(ROWS, max_length=4)
    with pytest.raises(LiftError, match=r"these lack prompt_length \(they have input_ids, example_id\)"):
        pack_dataset([{"input_ids": [1], "example_id": 0}], max_length=4)
