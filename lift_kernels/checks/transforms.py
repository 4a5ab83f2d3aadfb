"""Refuse what would differentiate an op by another way than autograd's backward pass, which is the only one it has."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import forward_ad


def refuse_transforms(op: str, *arguments: Tensor | float | None) -> None:
    """Raise RuntimeError where a derivative is asked of a tensor by torch.func (but for vmap) or in forward mode.

    Torch itself gives a silent zero in forward mode, and speaks of autograd functions in torch.func.grad.
    """
    if torch.compiler.is_compiling():
        # Tensors of torch.func are hidden from what dynamo traces, so vmap is refused here too.
        is_refused = torch._C._are_functorch_transforms_active()
    else:
        is_refused = any(isinstance(argument, Tensor) and _is_differentiated(argument) for argument in arguments)
    if is_refused:
        raise RuntimeError(
            f"{op}: torch.func.grad, vjp, jvp and forward-mode AD are not supported. Use loss.backward() or "
            "torch.autograd.grad(), or pass what is not differentiated as a constant with .detach()."
        )


def requires_grad(tensor: Tensor) -> bool:
    """Return whether a backward pass may ask for this tensor's gradient; inside vmap it says itself that none will."""
    functorch = torch._C._functorch
    while not torch.compiler.is_compiling() and functorch.is_batchedtensor(tensor):
        tensor = functorch.get_unwrapped(tensor)
    return tensor.requires_grad


def _is_differentiated(tensor: Tensor) -> bool:
    functorch = torch._C._functorch
    while functorch.is_batchedtensor(tensor):  # what vmap sees of a tensor that a transform around it differentiates
        tensor = functorch.get_unwrapped(tensor)
        if functorch.is_gradtrackingtensor(tensor):
            return True
    if functorch.is_gradtrackingtensor(tensor) and tensor.requires_grad:
        return True
    return forward_ad.unpack_dual(tensor).tangent is not None
