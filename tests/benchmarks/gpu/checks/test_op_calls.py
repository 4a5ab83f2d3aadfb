from __future__ import annotations

import pytest
import torch

from benchmarks.gpu.checks import op_calls
from benchmarks.harness.check_result import CheckResult
from benchmarks.ops.truth import random_head
from tests.benchmarks.support import HERE, SHAPE


def test_the_least_workspace_is_what_the_op_says():
    head = random_head(*SHAPE, torch.float32, HERE.device)
    least = op_calls.least_workspace(head, "torch")
    assert least > 1000
    op_calls.call_loss(head, "torch", workspace_bytes=least)
    with pytest.raises(ValueError, match="workspace_bytes must be at least"):
        op_calls.call_loss(head, "torch", workspace_bytes=least - 1)
    assert [op_calls.workspace_of(path, head, HERE) for path in ("default", "minimal", "77")] == [None, least, 77]


def test_the_gradients_are_those_of_the_weighted_loss():
    head = random_head(*SHAPE, torch.float64, HERE.device)
    loss, gradient = op_calls.loss_and_gradients(head, HERE, ("bias",), reduction="sum")
    nll = op_calls.call_loss(head, "torch", reduction="none")
    torch.testing.assert_close(loss, (nll * head.token_weight).sum())
    assert gradient.shape == head.bias.shape and abs(gradient.sum().item()) < 1e-9 * gradient.abs().sum().item()


def test_each_output_is_compared():
    result = CheckResult()
    ones = torch.ones(2)
    op_calls.compare_all(result, "a", [ones, ones], [ones, ones + 1])
    assert result.comparisons == 2 and result.failures == ["a, output 1: not equal to the last bit"]
