"""What the ops of a head return, and what stands for an output that is not asked for."""

from __future__ import annotations

import pytest
import torch

from lift_kernels.fallback import linear_cross_entropy as backend
from lift_kernels.linear_head import Gradients, RowStats, gradient_dtype
from lift_kernels.ops.active_rows import ActiveRows
from lift_kernels.ops.op_outputs import empty_gradients, empty_stats, filled_stats, full_gradients, weighted_nll
from lift_kernels.testing import DTYPES


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("needs_grad", [(True, True, True), (True, False, False), (False, False, True)], ids=str)
def test_the_fake_gradients_have_the_shapes_of_the_real_ones(dtype, needs_grad):
    hidden_states, weight = torch.randn(5, 3, dtype=dtype), torch.randn(7, 3, dtype=dtype)
    rows = ActiveRows(torch.tensor([1, 4]), 5)
    parts = [torch.ones(shape, dtype=gradient_dtype(dtype)) for shape in ((2, 3), (7, 3), (7,))]
    gradients = Gradients(*(part if is_needed else None for part, is_needed in zip(parts, needs_grad, strict=True)))
    real = full_gradients(gradients, rows, hidden_states, backend)
    fake = empty_gradients(hidden_states, weight, *needs_grad)
    assert [(t.shape, t.dtype) for t in real] == [(t.shape, t.dtype) for t in fake]
    if needs_grad[0]:
        assert real[0].sum(1).tolist() == [0, 3, 0, 0, 3]


def test_statistics_that_are_not_asked_for_are_empty():
    stats = empty_stats(torch.randn(5, 3, dtype=torch.bfloat16), 0)
    assert [(t.numel(), t.dtype) for t in stats] == [(0, torch.float32)] * 4 + [(0, torch.int64)]


def test_a_runner_up_that_is_not_asked_for_is_empty():
    stats = RowStats(*torch.ones(5, 3))
    assert [len(values) for values in filled_stats(stats)] == [3, 3, 3, 3, 3, 0, 0]
    assert filled_stats(stats._replace(runner_up_log_prob=torch.full((3,), 2.0)))[5].tolist() == [2, 2, 2]


def test_a_weight_of_zero_silences_an_impossible_target():
    log_prob = torch.tensor([-1.0, -torch.inf, -2.0])
    assert weighted_nll(log_prob, torch.tensor([0.5, 0.0, 2.0])).item() == 4.5
    assert weighted_nll(log_prob, torch.tensor([0.5, 1.0, 2.0])).item() == torch.inf
