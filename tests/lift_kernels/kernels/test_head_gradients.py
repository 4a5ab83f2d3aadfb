"""A trained head's gradient, formed at once or deferred: as exact, as often as asked for, and no memory beside it."""

from __future__ import annotations

import pytest
import torch

from lift_kernels.kernels import linear_cross_entropy as kernels
from lift_kernels.kernels.head_gradients import Deferred
from lift_kernels.linear_head import LinearHead, NeedsGrad
from lift_kernels.testing import Head, assert_gradient_close
from tests.lift_kernels.kernels.head_truth import gradients

PATHS = ("one-chunk", "many-chunks")
ALL = NeedsGrad(True, True, True)


@pytest.fixture(params=PATHS)
def path(request, take_kernel_path):
    take_kernel_path(request.param)
    return request.param


def inputs(dtype: torch.dtype, device: torch.device, num_columns: int = 300) -> tuple[Head, LinearHead]:
    """Odd columns, a target that many rows share, an entry left out, and weights over six orders of magnitude."""
    head = Head.random(9, 17, num_columns, dtype, ignored=0.0).to(device)
    head.targets[:4] = 7
    head.targets[head.targets == 3] = 4
    return head, LinearHead(head.weight, head.bias, 1.5, 2.5, exclude_index=3)


def run(head: Head, linear: LinearHead, needs_grad: NeedsGrad = ALL, may_defer: bool = True, token_weight=None):
    return kernels.loss_gradients(
        head.hidden_states, linear, head.targets, head.token_weight if token_weight is None else token_weight,
        needs_grad, workspace_bytes=None, all_stats=False, may_defer=may_defer,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_deferred_gradients_match_the_truth_for_any_gradient_of_the_loss(dtype, path, kernel_device):
    head, linear = inputs(dtype, kernel_device)
    _, _, formed = run(head, linear)
    assert formed.weight is None and formed.bias is None and formed.deferred is not None
    assert (Deferred(*formed.deferred).weight_sum.numel() > 0) == (path == "many-chunks")
    kept = [tensor.clone() for tensor in formed.deferred]
    grad_loss = torch.tensor(-0.37, device=kernel_device)
    ours, again = (kernels.head_gradients(formed.deferred, grad_loss, ALL) for _ in range(2))
    assert all(map(torch.equal, ours, again)) and all(map(torch.equal, formed.deferred, kept))
    weights = head.token_weight * grad_loss
    truth, baseline = gradients(head, linear, weights), gradients(head, linear, weights, dtype)
    for mine, true, plain in zip(ours, truth[2:], baseline[2:], strict=True):
        assert mine.dtype == dtype and mine.is_contiguous()
        assert_gradient_close(ours=mine, truth=true, baseline=plain)


def test_deferring_changes_no_bit_of_one_chunk(take_kernel_path, kernel_device):
    take_kernel_path("one-chunk")
    head, linear = inputs(torch.bfloat16, kernel_device)
    at_once, deferred = run(head, linear, may_defer=False), run(head, linear)
    assert torch.equal(at_once[0].log_prob, deferred[0].log_prob)
    assert torch.equal(at_once[2].hidden_states, deferred[2].hidden_states)
    formed = kernels.head_gradients(deferred[2].deferred, torch.ones((), device=kernel_device), ALL)
    assert torch.equal(at_once[2].weight, formed[0]) and torch.equal(at_once[2].bias, formed[1])


@pytest.mark.parametrize("needs", [(True, False), (False, True)], ids=["weight", "bias"])
def test_either_gradient_alone_is_that_of_both(needs, path, kernel_device):
    head, linear = inputs(torch.bfloat16, kernel_device)
    deferred = run(head, linear)[2].deferred
    grad_loss = torch.tensor(0.7, device=kernel_device)
    both = kernels.head_gradients(deferred, grad_loss, ALL)
    alone = kernels.head_gradients(deferred, grad_loss, NeedsGrad(False, *needs))
    for one, of_both, is_needed in zip(alone, both, needs, strict=True):
        assert torch.equal(one, of_both) if is_needed else one is None


def test_what_outlives_the_call_is_no_larger_than_the_gradient(take_kernel_path, kernel_device):
    """The exponentials and, of rows in several chunks, the float32 sum beside them: no workspace is kept alive."""
    for path, most in (("one-chunk", 1), ("many-chunks", 3)):
        take_kernel_path(path)
        head, linear = inputs(torch.bfloat16, kernel_device, 320)
        deferred = run(head, linear)[2].deferred
        large = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in deferred if t.numel() >= 300 * 4}
        assert 0 < sum(large.values()) <= most * head.weight.numel() * head.weight.element_size()


def test_a_weight_formed_from_log_probabilities_is_deferred_too(path, kernel_device):
    head, linear = inputs(torch.float32, kernel_device)
    _, weights, formed = run(head, linear, token_weight=lambda log_prob: log_prob.exp() + 0.5)
    log_prob = gradients(head, linear, head.token_weight)[0]
    torch.testing.assert_close(weights.double(), log_prob.exp() + 0.5, rtol=1e-5, atol=1e-6)
    ours = kernels.head_gradients(formed.deferred, torch.ones((), device=kernel_device), ALL)
    for mine, true in zip((formed.hidden_states, *ours), gradients(head, linear, weights)[1:], strict=True):
        torch.testing.assert_close(mine.double(), true, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("needs_grad", [(True, False, False), (True, False, True)], ids=["frozen", "bias"])
def test_without_a_trained_weight_nothing_is_deferred(needs_grad, path, kernel_device):
    head, linear = inputs(torch.float32, kernel_device)
    formed = run(head, linear, NeedsGrad(*needs_grad))[2]
    assert formed.deferred is None and formed.weight is None and (formed.bias is not None) == needs_grad[2]


def test_of_no_rows_the_gradients_are_zeros(path, kernel_device):
    head, linear = inputs(torch.bfloat16, kernel_device)
    none = Head(head.hidden_states[:0], head.weight, head.bias, head.targets[:0], head.token_weight[:0])
    formed = run(none, linear)[2]
    assert formed.deferred is None and not formed.weight.any() and not formed.bias.any()
