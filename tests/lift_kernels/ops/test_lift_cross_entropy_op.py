"""LIFT's objective as torch sees it: schema, fake implementation, autograd registration and tracing."""

from __future__ import annotations

import pytest
import torch

from lift_kernels.ops.lift_cross_entropy_op import lift_cross_entropy_sum
from lift_kernels.testing import Head


@pytest.mark.parametrize("is_soft", [True, False])
@pytest.mark.parametrize("needs_grad", [(True, True, True), (True, False, False), (False, False, False)], ids=str)
@pytest.mark.parametrize("all_stats", [True, False])
def test_the_op_passes_opcheck(needs_grad, is_soft, all_stats):
    head = Head.random(12, 8, 40)
    leaves = [
        x.requires_grad_(n) for x, n in zip((head.hidden_states, head.weight, head.bias), needs_grad, strict=True)
    ]
    labels = head.targets.view(3, 4)
    num_keep, order = (labels != -100).sum(1) // 2, torch.tensor([1, 0, -1])
    torch.library.opcheck(
        lift_cross_entropy_sum,
        (
            *leaves, labels, torch.rand(3), torch.rand(3), num_keep, order, torch.tensor([5, 6, 7]), 3, is_soft, 0.7,
            -100, None, None, 0.5, 3.0, *needs_grad, all_stats, None, "torch",
        ),
    )  # fmt: skip
