"""The bands of the tokens of a training set."""

from __future__ import annotations

import numpy as np
import torch
from datasets import Dataset

from lift.learnability.bands import band_of
from lift.training import token_bands as module
from lift.training.token_bands import token_bands


def row(ids, prompt_length=0):
    return {"input_ids": ids, "prompt_length": prompt_length, "example_id": 0}


def test_tokens_are_counted_in_responses_and_unseen_ones_are_rare():
    rows = [row([5, 5, 5, *[2] * 97, 3], 3), row([2] * 99 + [4], 1)]
    counts = np.array([0, 0, 97 + 98, 1, 1, 0])
    bands = token_bands(rows, 6)
    assert bands.tolist() == band_of(counts.clip(min=1), counts.sum()).tolist() == [2, 2, 0, 2, 2, 2]
    assert torch.equal(token_bands(Dataset.from_list(rows), 6), bands)


def test_pads_that_are_trained_are_frequent():
    rows = [row([2] * 30), row([3] * 10)]
    assert token_bands(rows, 4).tolist() == [1, 1, 0, 0]
    assert token_bands(rows, 4, pad_token_id=1).tolist() == [1, 0, 0, 0]


def test_of_many_rows_some_are_counted_from_all_over(monkeypatch):
    monkeypatch.setattr(module, "_MOST_ROWS", 3)
    seen = []

    class Rows(list):
        def __getitem__(self, place):
            seen.append(place)
            return super().__getitem__(place)

    assert token_bands(Rows(row([2]) for _ in range(101)), 3) is not None
    assert seen == [0, 50, 100]


def test_without_responses_or_a_length_nothing_is_known():
    assert token_bands([row([2, 3], 2)], 4) is None and token_bands([], 4) is None
    assert token_bands(iter([row([2, 3])]), 4) is None and token_bands([{"input_ids": [2], "labels": [2]}], 4) is None
