from __future__ import annotations

import pytest
import torch

from benchmarks.gpu.checks import extreme_logits
from lift_kernels import linear_cross_entropy
from tests.benchmarks.gpu.checks.broken_ops import phantom_columns
from tests.benchmarks.support import HERE, SHAPE


@pytest.mark.parametrize("path", ["default", "minimal"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_right_results_pass(dtype, path):
    options = {"shape": SHAPE, "dtype": dtype, "path": path}
    assert not extreme_logits.far_below_zero(HERE, **options).failures
    result = extreme_logits.confident(HERE, **options)
    assert not result.failures and result.numbers["worst_row_gradient_error"] < 1e-2


def test_phantom_columns_are_found(broken):
    broken(loss=phantom_columns)
    assert extreme_logits.far_below_zero(HERE, shape=SHAPE, dtype=torch.float32, path="default").failures


@pytest.mark.parametrize("path", ["default", "minimal"])
def test_digits_near_certainty(path, broken):
    result = extreme_logits.near_certainty(HERE, path=path)
    assert not result.failures and result.numbers["worst_relative_error"] < 3e-6

    def from_logits(hidden_states, weight, targets, **options):
        return torch.nn.functional.cross_entropy(hidden_states @ weight.T, targets, reduction="sum")

    broken(loss=from_logits)
    failures = extreme_logits.near_certainty(HERE, path="default").failures
    assert failures[0].startswith("loss where 1 - p is 1e-3: relative error 0.000") and len(failures) == 8


def rounds_probabilities(hidden_states, weight, targets, bias=None, **options):
    """As a kernel that keeps p - onehot as a difference of bfloat16 numbers."""

    class Rounded(torch.autograd.Function):
        @staticmethod
        def forward(ctx, h, w):
            p = (h.float() @ w.float().T).softmax(-1)
            onehot = torch.nn.functional.one_hot(targets, w.shape[0])
            ctx.save_for_backward(p.to(h.dtype) - onehot.to(h.dtype), w)
            return -p.gather(1, targets[:, None]).log().sum()

        @staticmethod
        def backward(ctx, grad):
            g, w = ctx.saved_tensors
            return (g @ w) * grad, None

    if options["reduction"] != "sum" or weight.requires_grad:
        return linear_cross_entropy(hidden_states, weight, targets, **options)
    return Rounded.apply(hidden_states, weight)


def test_lost_gradients_of_sure_predictions_are_found(broken):
    broken(loss=rounds_probabilities)
    failures = extreme_logits.confident(HERE, shape=SHAPE, dtype=torch.bfloat16, path="default").failures
    assert len(failures) == 1 and failures[0].startswith("hidden_states sum gradient of a row: relative error")
