"""The input and the loss terms of a training forward."""

from __future__ import annotations

import pytest
import torch

from lift.objectives import (
    denoising_batch,
    without_first_token,
)
from tests.lift.support.clean_rows import MASK


def test_the_first_token_can_be_protected():
    maskable = torch.tensor([[True, True, False], [False, True, True]])
    assert without_first_token(maskable).tolist() == [[False, True, False], [False, True, True]]


@pytest.mark.parametrize("time_scaling", [True, False])
def test_what_is_trained_is_masked_and_weighs_one_over_the_time(time_scaling):
    clean = torch.arange(6).view(2, 3)
    is_trained = torch.tensor([[True, False, False], [False, True, True]])
    maskable = is_trained | torch.tensor([[False, True, False]])
    time = torch.tensor([0.25, 0.8], dtype=torch.float64)
    batch = denoising_batch(clean, is_trained, maskable, time, mask_token_id=MASK, time_scaling=time_scaling)
    assert batch.input_ids.tolist() == [[MASK, 1, 2], [3, MASK, MASK]]
    assert batch.labels.tolist() == [[0, -100, -100], [-100, 4, 5]]
    assert batch.token_weight.tolist() == ([[4.0] * 3, [1.25] * 3] if time_scaling else [[1.0] * 3] * 2)
    assert batch.token_weight.dtype == batch.denominator.dtype == torch.float64 and batch.denominator == 4


def test_where_nothing_may_be_masked_the_denominator_is_one():
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    batch = denoising_batch(torch.ones(2, 3).long(), nothing, nothing, torch.ones(2), mask_token_id=MASK)
    assert batch.denominator == 1 and (batch.labels == -100).all() and (batch.input_ids == 1).all()
