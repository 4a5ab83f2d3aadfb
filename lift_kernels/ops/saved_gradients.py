"""Gradients that the forward pass of a loss has formed already: kept, and scaled in the backward pass.

Two ways to the same numbers. Eagerly an autograd function of our own keeps what a backend hands out, its deferred
gradients included, and gives the tensors themselves away in the last backward pass over a graph. What torch.compile,
fake tensors and torch.func see is a registered op whose outputs hold the gradients; those are never written to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lift_kernels import checks
from lift_kernels.linear_head import NeedsGrad
from lift_kernels.ops.autocast import exactly_as_given
from lift_kernels.ops.op_outputs import HeadLoss, told_without_rows

# (hidden_states (N, D), weight (V, D), bias (V,) or None, what needs a gradient, whether the head's may be deferred)
ComputeLoss = Callable[[Tensor, Tensor, Tensor | None, NeedsGrad, bool], HeadLoss]


def runs_eagerly(*tensors: Tensor | None) -> bool:
    """Return whether nothing traces, transforms or intercepts a call on these tensors."""
    given = [tensor for tensor in tensors if tensor is not None]
    return checks.has_values(*given) and not torch._C._len_torch_dispatch_stack()


def needs_grad_of(hidden_states: Tensor, weight: Tensor, bias: Tensor | None) -> NeedsGrad:
    """Return which gradients a backward pass over a call on these will ask for."""
    if not torch.is_grad_enabled():
        return NeedsGrad(False, False, False)
    needs_grad = (tensor is not None and checks.requires_grad(tensor) for tensor in (hidden_states, weight, bias))
    return NeedsGrad(*needs_grad)


def eager_loss(
    op: str, hidden_states: Tensor, weight: Tensor, bias: Tensor | None, compute: ComputeLoss
) -> tuple[Tensor, ...]:
    """Return (loss, *others) of what `compute` returns, the loss connected to the three."""
    if any(needs_grad_of(hidden_states, weight, bias)):
        outputs: tuple[Tensor, ...] = _EagerLoss.apply(hidden_states, weight, bias, op, compute)
        return outputs
    result = compute(hidden_states, weight, bias, NeedsGrad(False, False, False), False)
    return (result.loss, *result.others)


class _EagerLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden_states: Tensor, weight: Tensor, bias: Tensor | None, op: str, compute: ComputeLoss
    ) -> tuple[Tensor, ...]:
        result = compute(hidden_states, weight, bias, NeedsGrad(*ctx.needs_input_grad[:3]), True)
        gradients, rows = told_without_rows(result.gradients, result.rows, result.backend)
        grad_hidden, grad_weight, grad_bias, deferred = gradients
        ctx.op, ctx.backend, ctx.num_rows = op, result.backend, rows.num_rows
        ctx.dtype, ctx.is_deferred = hidden_states.dtype, deferred is not None
        index = None if grad_hidden is None or rows.are_all else rows.index
        ctx.save_for_backward(index, grad_hidden, grad_weight, grad_bias, *(deferred or ()))
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*result.others)
        return (result.loss, *result.others)

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, ...]:
        refuse_double_backward(ctx.op)
        if grad_loss is None:
            return (None,) * 5
        # Read once: each reading unpacks, which activation checkpointing forbids and offloading pays with a copy.
        index, grad_hidden, grad_weight, grad_bias, *deferred = ctx.saved_tensors
        needs_grad, is_last = NeedsGrad(*ctx.needs_input_grad[:3]), not _graph_is_kept()
        with exactly_as_given(ctx.op, grad_loss):
            if ctx.is_deferred and needs_grad.head:
                grad_weight, grad_bias = (
                    None if gradient is None else gradient.to(ctx.dtype)
                    for gradient in ctx.backend.head_gradients(tuple(deferred), grad_loss, needs_grad)
                )
            else:
                grad_weight = (
                    scaled(grad_weight, grad_loss, ctx.dtype, overwrite=is_last) if needs_grad.weight else None
                )
                grad_bias = scaled(grad_bias, grad_loss, ctx.dtype, overwrite=is_last) if needs_grad.bias else None
            if not needs_grad.hidden_states:
                grad_hidden = None
            elif index is None:
                grad_hidden = scaled(grad_hidden, grad_loss, ctx.dtype, overwrite=is_last)
            else:
                grad_hidden = ctx.backend.spread_rows(
                    grad_hidden, index, ctx.num_rows, scale=grad_loss, dtype=ctx.dtype
                )  # fmt: skip
        return grad_hidden, grad_weight, grad_bias, None, None


def save_gradients(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    """Keep the gradients among the outputs of a registered op: its `setup_context`.

    Such an op takes hidden_states, weight and bias first, and returns the loss and the gradients of those three first.
    """
    _, *gradients = output[:4]
    ctx.dtypes = tuple(None if leaf is None else leaf.dtype for leaf in inputs[:3])
    ctx.num_inputs = len(inputs)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*gradients)


def scale_gradients(op: str, ctx: Any, grad_loss: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, ...]:
    """Return grad_loss times the gradients kept: the backward of such an `op`."""
    refuse_double_backward(op)
    if grad_loss is None:
        return (None,) * ctx.num_inputs
    return (
        *(
            scaled(gradient, grad_loss, dtype) if is_needed else None
            for gradient, dtype, is_needed in zip(ctx.saved_tensors, ctx.dtypes, ctx.needs_input_grad[:3], strict=True)
        ),
        *(None,) * (ctx.num_inputs - 3),
    )


def scaled(gradient: Tensor, factor: Tensor, dtype: torch.dtype, *, overwrite: bool = False) -> Tensor:
    """Return gradient * factor, 0-d float32 or float64, rounded once to `dtype`; the same bits in place or not.

    What is returned may become a leaf's .grad, which optimisers and clipping write to, so it is new unless `overwrite`
    allows to write to `gradient` itself and hand it over.
    """
    if gradient.device.type == "cpu":
        # A 0-d factor on the CPU is not rounded to the gradient's dtype first.
        if overwrite:
            is_one = checks.is_on_host(factor) and factor.item() == 1
            return (gradient if is_one else gradient.mul_(factor)).to(dtype)
        return (gradient * factor).to(dtype)
    # Elsewhere a 0-d factor would be: with dimensions it promotes, and the kernel itself rounds its result.
    out = gradient if overwrite and gradient.dtype == dtype else torch.empty_like(gradient, dtype=dtype)
    return torch.mul(gradient, factor.reshape((1,) * gradient.dim()), out=out)


def refuse_double_backward(op: str) -> None:
    """Raise RuntimeError where the backward pass is recorded too: saved gradients know nothing of their inputs."""
    if torch.is_grad_enabled():
        raise RuntimeError(
            f"{op}: double backward is not supported, and backward was called with create_graph=True. "
            "Build the logits with torch.nn.functional.linear where second derivatives are needed."
        )


def _graph_is_kept() -> bool:
    """Return whether another backward pass over this graph may follow, as retain_graph=True says."""
    is_kept: bool = torch._C._autograd._get_current_graph_task_keep_graph()
    return is_kept
