"""`TokenFrequency`: what it counts, and that it is kept."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lift.errors import LiftError
from lift.learnability import TokenFrequency


def test_frequencies_of_the_responses_with_one_added():
    rows, prompts = [[1, 1, 2, 3, 2], [3, 0, 2], [4]], [2, 1, 1]
    frequency = TokenFrequency.count(rows, 5, prompts)
    counts = torch.tensor([1, 0, 3, 1, 0], dtype=torch.float64)  # 2 3 2, 0 2, nothing
    expected = ((counts + 1) / (5 + 5)).log()
    torch.testing.assert_close(frequency.scores(torch.arange(5)[None])[0].double(), expected, rtol=1e-6, atol=0)
    padded = TokenFrequency.count(rows, 5, prompts, pad_token_id=1)
    counts[1] = 2 + 4
    expected = ((counts + 1) / (11 + 5)).log()
    torch.testing.assert_close(padded.scores(torch.arange(5)[None])[0].double(), expected, rtol=1e-6, atol=0)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.lists(st.integers(0, 6), min_size=1, max_size=9), st.integers(0, 9)), max_size=6))
def test_frequencies_sum_to_one_and_count_each_response_token(rows):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lift.learnability.frequency._BLOCK", 5)  # several blocks
        frequency = TokenFrequency.count([ids for ids, _ in rows], 7, [prompt for _, prompt in rows])
    response = [token for ids, prompt in rows for token in ids[prompt:]]
    expected = [math.log((response.count(token) + 1) / (len(response) + 7)) for token in range(7)]
    np.testing.assert_allclose(frequency.log_frequency.double().numpy(), expected, rtol=1e-6)


def test_frequencies_are_kept_to_the_bit_and_refused_for_another_vocabulary(tmp_path):
    frequency = TokenFrequency.count([[0, 1, 1, 2]], 8, [0])
    frequency.save(tmp_path / "new")
    assert torch.equal(TokenFrequency.load(tmp_path / "new", 8).log_frequency, frequency.log_frequency)
    with pytest.raises(LiftError, match="vocabulary of 8, the model's has 9"):
        TokenFrequency.load(tmp_path / "new", 9)
    with pytest.raises(LiftError, match=r"no token_frequency.safetensors in"):
        TokenFrequency.load(tmp_path, 8)
    path = tmp_path / "new" / "token_frequency.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(LiftError, match="is damaged"):
        TokenFrequency.load(tmp_path / "new", 8)


def test_rows_that_cannot_be_counted_are_refused():
    for ids, outside in (([0, 9, 8, 1], 8), ([0, 1, -1], -1)):
        with pytest.raises(LiftError, match=f"token id {outside}, outside the model's vocabulary of 8"):
            TokenFrequency.count([ids], 8, [2])
    with pytest.raises(LiftError, match="each of the 2 rows needs one prompt length, got 1"):
        TokenFrequency.count([[0], [1]], 8, [0])
    with pytest.raises(LiftError, match="pad_token_id must lie between 0 and 7, got 8"):
        TokenFrequency.count([[0]], 8, [0], pad_token_id=8)
    with pytest.raises(IndexError):
        TokenFrequency.count([[0]], 8, [0]).scores(torch.tensor([[-1]]))
