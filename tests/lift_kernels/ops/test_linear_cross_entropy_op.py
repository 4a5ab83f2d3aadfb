"""Loss and gradients as torch sees them: schema, fake implementation, autograd registration and tracing."""

from __future__ import annotations

import pytest
import torch

from lift_kernels.ops.linear_cross_entropy_op import linear_cross_entropy_sum
from lift_kernels.testing import Head


@pytest.mark.parametrize("needs_grad", [(True, True, True), (True, False, False), (False, False, False)], ids=str)
@pytest.mark.parametrize("all_stats", [True, False])
def test_linear_cross_entropy_passes_opcheck(needs_grad, all_stats):
    head = Head.random(12, 8, 40)
    leaves = [
        x.requires_grad_(w) for x, w in zip((head.hidden_states, head.weight, head.bias), needs_grad, strict=True)
    ]
    torch.library.opcheck(
        linear_cross_entropy_sum,
        (*leaves, head.targets, head.token_weight, -100, None, None, 0.5, 3.0, *needs_grad, all_stats, None, "torch"),
    )
