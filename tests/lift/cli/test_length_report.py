"""Lengths, and what max_length takes away, beside counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset

from lift.cli.length_report import lengths_of, loss_to_max_length, percentiles
from lift.cli.own_rows import OwnRows


def task_of(lengths) -> OwnRows:
    rows = Dataset.from_list(
        [{"input_ids": [5] * n, "prompt_length": 2, "example_id": i} for i, n in enumerate(lengths)]
    )
    return OwnRows("rows", None, rows, rows, record={})


def test_percentiles_are_lengths_that_occur():
    assert percentiles(np.arange(1, 101)) == [51, 91, 100, 100]
    whole, response = lengths_of(task_of([3, 9, 4]).train)
    assert whole.tolist() == [3, 9, 4] and response.tolist() == [1, 7, 2]


def test_all_responses_of_a_row_count():
    row = {"input_ids": [5] * 12, "prompt_length": 2, "response_spans": [2, 5, 9, 12], "example_id": 0}
    assert [numbers.tolist() for numbers in lengths_of(Dataset.from_list([row]))] == [[12], [6]]


@pytest.mark.parametrize(
    ("kept", "truncation", "words"),
    [
        ([4, 6, 6, 5], "right", "2 of 4 rows (50.0%) are cut to fit max_length=6, and with them 9 of 30 tokens (30.0%)"),
        ([4, 5], "filter", "2 of 4 rows (50.0%) are dropped to fit max_length=6, and with them 21 of 30 tokens (70.0%)"),
    ],
)  # fmt: skip
def test_what_is_lost_is_counted_in_rows_and_tokens(kept, truncation, words):
    assert loss_to_max_length(task_of(kept), 6, truncation, lambda: task_of([4, 10, 11, 5])) == words


def test_rows_are_tokenised_again_only_where_some_may_be_longer():
    assert loss_to_max_length(task_of([4, 5]), 6, "right", lambda: 1 / 0).startswith("nothing is cut: the longest")
    sentence = loss_to_max_length(task_of([4, 6]), 6, "right", lambda: task_of([4, 6]))
    assert sentence == "nothing is cut: all rows fit max_length=6"
