"""Learnability as a weight, against its definition row by row."""

from __future__ import annotations

import pytest
import torch

from lift_kernels import reference
from lift_kernels.ops.soft_learnability import soft_learnability


@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
def test_every_row_is_that_of_the_definition(temperature):
    score, is_masked = -torch.rand(5, 9).double() * 8, torch.rand(5, 9) < 0.6
    num_keep, timestep = torch.tensor([0, 1, 2, 3, 4]), torch.tensor([0.01, 0.3, 0.5, 0.9, 1.0]).double()
    weights = soft_learnability(score, is_masked, num_keep, timestep, temperature)
    assert not weights[~is_masked].any()
    for row in range(5):
        here = is_masked[row]
        expected = reference.soft_learnability(score[row, here], int(num_keep[row]), float(timestep[row]), temperature)
        torch.testing.assert_close(weights[row, here], expected)
    torch.testing.assert_close(weights.sum(1), num_keep.double())


def test_rows_without_choice():
    """No masked token: nothing. Scores that are all alike: all count alike."""
    score, is_masked = torch.full((2, 4), -1.5), torch.tensor([[False] * 4, [True, True, False, True]])
    weights = soft_learnability(score, is_masked, torch.tensor([0, 2]), torch.tensor([0.2, 0.2]), 1.0)
    assert not weights[0].any() and weights[1].tolist() == pytest.approx([2 / 3, 2 / 3, 0, 2 / 3])
