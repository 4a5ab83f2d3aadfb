"""Rows that take part: found, taken, put back."""

from __future__ import annotations

import pytest
import torch

from lift_kernels.fallback import linear_cross_entropy as backend
from lift_kernels.linear_head import RowStats
from lift_kernels.ops import active_rows
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
    *floats, argmax, runner_up, rank = active.spread_stats(stats)
    assert [values.tolist() for values in floats] == [[3.0 * i, 0, 3.0 * i + 1, 3.0 * i + 2, 0] for i in range(4)]
    assert argmax.tolist() == [7, -1, 8, 9, -1] and runner_up is None and rank is None
    runner_up = active.spread_stats(stats._replace(runner_up_log_prob=torch.tensor([5.0, 6.0, 7.0]))).runner_up_log_prob
    assert runner_up.tolist() == [5, 0, 6, 7, 0]


def test_where_all_take_part_nothing_is_copied():
    active = ActiveRows.find(torch.arange(4), -100, None, None, 4)
    rows = torch.randn(4, 2)
    assert active.are_all and active.take(rows, backend) is rows and active.spread(rows, backend) is rows


def test_wrong_targets_are_named():
    with pytest.raises(ValueError, match=r"targets must lie in \[0, 5\) or equal ignore_index, got values from 0 to 5"):
        ActiveRows.find(TARGETS, -100, None, None, 5)
    with pytest.raises(ValueError, match="num_targets must be the number of targets that are not ignored, 3, got 2"):
        ActiveRows.find(TARGETS, -100, 2, None, 6)

    with pytest.raises(ValueError, match="targets must not equal exclude_index, 5, which has no probability"):
        ActiveRows.find(TARGETS, -100, None, None, 6, 5)
    assert ActiveRows.find(TARGETS, -100, None, None, 6, 4).index.tolist() == [0, 2, 3]
    assert ActiveRows.find(TARGETS.clamp(min=0), 5, None, None, 6, 5).index.tolist() == [0, 1, 2, 4]


@pytest.fixture
def far_away(monkeypatch):
    """Tensors are taken for those of an accelerator, whose values are not read; yields what is reported from there."""
    reports = []
    monkeypatch.setattr(active_rows, "_is_read", lambda targets: False)
    monkeypatch.setattr(active_rows, "report_later", lambda is_wrong, message: reports.append((is_wrong, message)))
    return reports


@pytest.mark.parametrize("num_targets", [0, 1, 2, 3, 4, 5, 6])
def test_a_wrong_count_that_is_not_read_makes_the_results_nan(num_targets, far_away):
    rows = ActiveRows.find(TARGETS, -100, num_targets, None, 6)
    assert rows.index.shape == (num_targets,) and rows.index.min() >= 0 if num_targets else rows.index.shape == (0,)
    ((is_wrong, message),) = far_away
    assert bool(is_wrong) == (num_targets != 3) and f"{num_targets} was not" in message
    loss, targets = rows.mark(torch.tensor(2.0)), rows.targets(TARGETS)
    stats = rows.spread_stats(RowStats(*torch.ones(4, num_targets), argmax=torch.ones(num_targets, dtype=torch.int64)))
    if num_targets == 3:
        assert rows.index.tolist() == [0, 2, 3] and targets.tolist() == [3, 0, 5] and loss == 2
        assert stats.entropy.tolist() == [1, 0, 1, 1, 0]
    else:
        assert loss.isnan() and all(values.isnan().all() for values in stats[:4])
        assert ((targets >= 0) & (targets < 6)).all()  # nothing that reads memory at a target leaves it


def test_no_rows_and_a_count_of_some():
    index, is_wrong = counted_rows(torch.zeros(0, dtype=torch.bool), 2)
    assert index.shape == (0,) and is_wrong
    index, is_wrong = counted_rows(torch.zeros(0, dtype=torch.bool), 0)
    assert index.shape == (0,) and not is_wrong


@pytest.mark.parametrize("num_targets", [None, 3])
def test_an_excluded_target_that_is_not_read_makes_the_results_nan(num_targets, far_away):
    for exclude_index, is_wrong in ((5, True), (4, False)):
        rows = ActiveRows.find(TARGETS, -100, num_targets, None, 6, exclude_index)
        assert bool(rows.mark(torch.tensor(2.0)).isnan()) == is_wrong == bool(far_away[-1][0])
        assert "exclude_index" in far_away[-1][1]
    ignored = ActiveRows.find(TARGETS, 5, None, None, 6, 5)  # a target that is ignored is none
    assert ignored.mark(torch.tensor(2.0)) == 2
