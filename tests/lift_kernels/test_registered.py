"""The ops as torch sees them: schema, fake implementation, autograd registration and tracing."""

from __future__ import annotations

import pytest
import torch

from lift_kernels.ops import registered
from tests.lift_kernels.heads import Head


@pytest.mark.parametrize("wants", [(True, True, True), (True, False, False), (False, False, False)], ids=str)
@pytest.mark.parametrize("with_stats", [True, False])
def test_linear_cross_entropy_passes_opcheck(wants, with_stats):
    head = Head.random(12, 8, 40)
    leaves = [x.requires_grad_(w) for x, w in zip((head.hidden_states, head.weight, head.bias), wants, strict=True)]
    torch.library.opcheck(
        registered.linear_cross_entropy_sum,
        (*leaves, head.targets, head.token_weight, -100, None, 0.5, 3.0, *wants, with_stats, None, "torch"),
    )


@pytest.mark.parametrize("with_targets", [True, False])
def test_linear_token_stats_passes_opcheck(with_targets):
    head = Head.random(12, 8, 40).trainable("hidden_states", "weight", "bias")
    torch.library.opcheck(
        registered.token_stats,
        (
            head.hidden_states, head.weight, head.bias, head.targets if with_targets else None, None, -100, None, 1.0,
            None, True, None, "torch",
        ),
        test_utils=("test_schema", "test_faketensor") if not with_targets else tuple(registered_checks()),
    )  # fmt: skip


def registered_checks() -> list[str]:
    return ["test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic"]


def test_backward_op_passes_opcheck():
    head = Head.random(12, 8, 40)
    log_prob, lse, *_ = registered.token_stats(
        head.hidden_states, head.weight, head.bias, head.targets, None, -100, None, 1.0, None, False, None, "torch"
    )
    torch.library.opcheck(
        registered.nll_gradients,
        (
            torch.randn(12), head.hidden_states, head.weight, head.bias, head.targets, lse, log_prob, -100, None, 1.0,
            None, True, True, True, None, "torch",
        ),
    )  # fmt: skip
