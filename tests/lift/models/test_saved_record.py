"""The record of a training in a folder, without the model; see `test_training_record` for what is written."""

from __future__ import annotations

import json

import pytest

from lift.models.saved_record import block_size_of, has_random_tokens, record_in


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"attention": "block", "block_size": "4"}, 4),
        ({}, None),
        ({"block_size": "4"}, None),
        ({"attention": "full", "block_size": "4"}, None),
        *(({"attention": "block", "block_size": size}, None) for size in ("", "0", "-4", "4.0", "all")),
    ],
)
def test_the_size_of_blocks_that_a_record_tells_of(record, expected):
    assert block_size_of(record) == expected


def test_whether_a_record_tells_of_random_tokens():
    assert has_random_tokens({"corruption": "uniform"}) and not has_random_tokens({"task": "sudoku"})


def test_only_words_count_and_an_adapter_comes_first(tmp_path):
    assert record_in(tmp_path) == {}
    (tmp_path / "config.json").write_text(json.dumps({"lift": {"task": "sudoku", "number": 3}}))
    assert record_in(tmp_path) == {"task": "sudoku"}
    (tmp_path / "lift.json").write_text(json.dumps({"mask_token_id": 5, "attention": "block"}))
    assert record_in(tmp_path) == {"attention": "block"}
