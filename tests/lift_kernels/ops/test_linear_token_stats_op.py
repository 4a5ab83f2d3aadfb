"""Statistics and their gradients as torch sees them: schema, fake implementation, autograd and tracing."""

from __future__ import annotations

import pytest
import torch

from lift_kernels.ops.linear_token_stats_op import nll_gradients, token_stats
from lift_kernels.testing import Head

CHECKS = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")


@pytest.mark.parametrize("with_targets", [True, False])
def test_linear_token_stats_passes_opcheck(with_targets):
    head = Head.random(12, 8, 40).trainable("hidden_states", "weight", "bias")
    torch.library.opcheck(
        token_stats,
        (
            head.hidden_states, head.weight, head.bias, head.targets if with_targets else None, None, -100, None, 1.0,
            None, True, None, "torch",
        ),
        test_utils=("test_schema", "test_faketensor") if not with_targets else CHECKS,
    )  # fmt: skip


def test_backward_op_passes_opcheck():
    head = Head.random(12, 8, 40)
    log_prob, lse, *_ = token_stats(
        head.hidden_states, head.weight, head.bias, head.targets, None, -100, None, 1.0, None, False, None, "torch"
    )
    torch.library.opcheck(
        nll_gradients,
        (
            torch.randn(12), head.hidden_states, head.weight, head.bias, head.targets, lse, log_prob, -100, None, 1.0,
            None, True, True, True, None, "torch",
        ),
    )  # fmt: skip
