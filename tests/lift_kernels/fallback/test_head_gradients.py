"""The head's gradients from what a forward pass kept."""

from __future__ import annotations

import pytest
import torch

from lift_kernels.fallback import linear_cross_entropy as backend
from lift_kernels.linear_head import LinearHead, NeedsGrad
from lift_kernels.testing import Head

ALL = NeedsGrad(True, True, True)


def deferred_of(head, *, needs_grad=ALL):
    weights = head.token_weight.to(torch.float64 if head.weight.dtype == torch.float64 else torch.float32)
    return backend.loss_gradients(
        head.hidden_states, LinearHead(head.weight, head.bias), head.targets, weights, needs_grad,
        workspace_bytes=None, all_stats=False, may_defer=True,
    )[2]  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_deferred_gradients_are_those_formed_at_once_times_the_upstream_gradient(dtype):
    head = Head.random(24, 64, 2500, dtype, ignored=0)
    head.targets[:6] = 9  # rows of one target are summed
    gradients = deferred_of(head)
    assert gradients.weight is None and gradients.bias is None
    kept = [tensor.clone() for tensor in gradients.deferred]
    factor = torch.tensor(-0.37, dtype=gradients.deferred[1].dtype)
    first = backend.head_gradients(gradients.deferred, factor, ALL)
    second = backend.head_gradients(gradients.deferred, factor, ALL)
    assert all(map(torch.equal, first, second)) and all(map(torch.equal, kept, gradients.deferred))

    logits = head.hidden_states.double() @ head.weight.double().T + head.bias.double()
    p = logits.softmax(-1)
    p[torch.arange(24), head.targets] -= 1
    p *= head.token_weight[:, None].double() * factor.double()
    eps = torch.finfo(first[0].dtype).eps if dtype != torch.float64 else 1e-12
    for ours, truth in zip(first, (p.T @ head.hidden_states.double(), p.sum(0)), strict=True):
        assert (ours.double() - truth).norm() < (0.5 * eps + 1e-6 * (dtype != torch.float64)) * truth.norm()


def test_what_is_kept_is_no_larger_than_the_gradients():
    few, many = Head.random(8, 16, 500, ignored=0), Head.random(40, 16, 500, ignored=0)
    kept = deferred_of(few).deferred
    assert sum(tensor.nbytes for tensor in kept) <= few.weight.nbytes + few.bias.nbytes
    assert deferred_of(many).deferred is None and deferred_of(many).weight is not None
    assert deferred_of(few, needs_grad=NeedsGrad(False, False, True)).bias is not None
