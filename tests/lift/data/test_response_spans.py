"""Which tokens of a row are response, as its columns say it."""

from __future__ import annotations

from typing import Any

import pytest

from lift.data import MaskedDiffusionCollator, pack_dataset
from lift.data.response_spans import flatten, is_response, segments

PACKED = {"input_ids": [*range(9)], "segment_lengths": [4, 5], "segment_prompt_lengths": [1, 3]}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"input_ids": [*range(5)], "prompt_length": 2}, "..xxx"),
        ({"input_ids": [*range(5)], "prompt_length": 2, "response_spans": None}, "..xxx"),
        ({"input_ids": [*range(6)], "prompt_length": 1, "response_spans": [1, 3, 4, 6]}, ".xx.xx"),
        (PACKED, ".xxx...xx"),
        (PACKED | {"response_spans": [1, 2, 3, 4, 7, 9]}, ".x.x...xx"),
    ],
)
def test_the_tokens_between_start_and_end(row: dict[str, Any], expected: str) -> None:
    assert "".join("x" if found else "." for found in is_response(row)) == expected


def test_dreams_first_position_is_never_masked_and_others_are() -> None:
    """Not even where a response begins there; the first position of a later response is predicted by the one before."""
    row = {"input_ids": [5] * 6, "prompt_length": 0, "response_spans": [0, 2, 4, 6], "example_id": 0}
    batch = MaskedDiffusionCollator(0, predicts_next=True)([row])
    assert batch["maskable"].tolist() == [[False, True, False, False, True, True]]


def test_segments_are_examples() -> None:
    assert segments({"input_ids": [1, 2], "prompt_length": 1}) == [(0, 2, 1)]
    assert segments(PACKED) == [(0, 4, 1), (4, 9, 7)]


def test_a_cut_drops_and_shortens_spans() -> None:
    assert flatten([(1, 3), (5, 9)], 7) == [1, 3, 5, 7]
    assert flatten([(1, 3), (5, 9)], 5) == [1, 3]


def test_joined_rows_of_one_response_are_packed_as_such() -> None:
    rows = [
        {"input_ids": [1] * 5, "prompt_length": 2, "example_id": 0, "response_spans": None},
        {"input_ids": [1] * 4, "prompt_length": 1, "example_id": 1, "response_spans": [1, 2, 3, 4]},
    ]
    (packed,) = pack_dataset(rows, max_length=9, show_progress=False).to_list()
    assert packed["response_spans"] == [2, 5, 6, 7, 8, 9]
