"""Scale, in the backward pass, gradients that the forward pass of an op has formed already.

Such an op takes hidden_states, weight and bias first, and returns the loss and the
gradients of those three first.
"""

from __future__ import annotations

import torch
from torch import Tensor

_STRIP_ELEMENTS = 1 << 24


def save_gradients(ctx, inputs, output):
    """Keep the gradients among the outputs: the `setup_context` of such an op."""
    _, *gradients = output[:4]
    ctx.dtypes = tuple(None if leaf is None else leaf.dtype for leaf in inputs[:3])
    ctx.num_inputs = len(inputs)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*gradients)


def scale_gradients(op, ctx, grad_loss, *_):
    """Return grad_loss times the gradients kept: the backward of such an `op`."""
    refuse_double_backward(op)
    if grad_loss is None:
        return (None,) * ctx.num_inputs
    # Always out of place: autograd may keep what is returned as a leaf's .grad, which optimisers and clipping write to,
    # and another backward over the same graph must find the saved gradients as they were.
    return (
        *(
            _scaled(gradient, grad_loss, dtype) if is_needed else None
            for gradient, dtype, is_needed in zip(ctx.saved_tensors, ctx.dtypes, ctx.needs_input_grad[:3], strict=True)
        ),
        *(None,) * (ctx.num_inputs - 3),
    )


def _scaled(gradient: Tensor, grad_loss: Tensor, dtype: torch.dtype) -> Tensor:
    """gradient * grad_loss, multiplied in float32 and rounded once to `dtype`, some rows at a time.

    A plain product of a bfloat16 tensor and a 0-d float32 tensor on CUDA first rounds the factor to bfloat16: an error
    of up to 2^-9 that all entries share.
    """
    if gradient.dtype == grad_loss.dtype:
        return (gradient * grad_loss).to(dtype)
    out = torch.empty_like(gradient, dtype=dtype)
    step = max(1, _STRIP_ELEMENTS // max(1, gradient[:1].numel()))
    for part, rows in zip(out.split(step), gradient.split(step), strict=True):
        part.copy_(rows.to(grad_loss.dtype).mul_(grad_loss))
    return out


def refuse_double_backward(op: str) -> None:
    """Raise RuntimeError where the backward pass is recorded too: saved gradients know nothing of their inputs."""
    if torch.is_grad_enabled():
        raise RuntimeError(
            f"{op}: double backward is not supported, and backward was called with create_graph=True. "
            "Build the logits with torch.nn.functional.linear where second derivatives are needed."
        )
