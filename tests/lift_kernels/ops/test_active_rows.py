"""Rows that take part: found, taken, put back."""

from __future__ import annotations

import pytest
import torch

from lift_kernels.fallback import linear_cross_entropy as backend
from lift_kernels.linear_head import RowStats
from lift_kernels.ops.active_rows import ActiveRows, counted_rows

TARGETS = torch.tensor([3, -100, 0, 5, -100])


def test_ignored_rows_and_rows_of_weight_0_are_dropped():
    assert ActiveRows.find(TARGETS, -100, None, None, 6).index.tolist() == [0, 2, 3]
    weight = torch.tensor([1.0, 1.0, 0.0, -2.0, 0.0])
    assert ActiveRows.find(TARGETS, -100, 3, weight, 6).index.tolist() == [0, 3]


def test_rows_are_taken_and_put_back():
    active = ActiveRows.find(TARGETS, -100, None, None, 6)
    rows = torch.randn(5, 2)
    taken = active.take(rows, backend)
    assert torch.equal(taken, rows[[0, 2, 3]]) and torch.equal(active.values(rows[:, 0]), rows[[0, 2, 3], 0])
    assert torch.equal(active.spread(taken, backend), rows * (TARGETS != -100)[:, None])
    stats = RowStats(*torch.arange(12.0).view(4, 3), argmax=torch.tensor([7, 8, 9]))
    *floats, argmax = active.spread_stats(stats)
    assert [values.tolist() for values in floats] == [[3.0 * i, 0, 3.0 * i + 1, 3.0 * i + 2, 0] for i in range(4)]
    assert argmax.tolist() == [7, -1, 8, 9, -1]


def test_where_all_take_part_nothing_is_copied():
    active = ActiveRows.find(torch.arange(4), -100, None, None, 4)
    rows = torch.randn(4, 2)
    assert active.are_all and active.take(rows, backend) is rows and active.spread(rows, backend) is rows


def test_wrong_targets_are_named():
    with pytest.raises(ValueError, match=r"targets must lie in \[0, 5\) or equal ignore_index, got values from 0 to 5"):
        ActiveRows.find(TARGETS, -100, None, None, 5)
    with pytest.raises(ValueError, match="num_targets must be the number of targets that are not ignored, 3, got 2"):
        ActiveRows.find(TARGETS, -100, 2, None, 6)


def test_a_wrong_count_is_not_silent():
    """Without reading it back, as on an accelerator."""
    is_target = torch.tensor([True, False, True])
    assert counted_rows(is_target, 2).tolist() == [0, 2]
    for wrong in (1, 3):
        with pytest.raises(RuntimeError, match="num_targets must be the number of targets that are not ignored"):
            counted_rows(is_target, wrong)
