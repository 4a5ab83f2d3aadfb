"""Arguments that are tensors: what they are, not what they hold."""

from __future__ import annotations

import torch
from torch import Tensor

FLOATING = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def check_tensor(op: str, name: str, tensor: object) -> None:
    """Raise unless `tensor` is a dense tensor."""
    if not isinstance(tensor, Tensor):
        raise TypeError(
            f"{op}: {name} must be a torch.Tensor, got {type(tensor).__name__}. Make one with torch.tensor()."
        )
    if tensor.is_nested or tensor.layout != torch.strided:
        kind = "a nested tensor" if tensor.is_nested else f"the layout {_short(tensor.layout)}"
        raise TypeError(f"{op}: {name} must be dense, got {kind}. Make it dense with .to_dense() or padding.")


def check_dtype(op: str, name: str, tensor: object, *allowed: torch.dtype) -> None:
    check_tensor(op, name, tensor)
    assert isinstance(tensor, Tensor)
    if tensor.dtype not in allowed:
        names = " or ".join(_short(dtype) for dtype in allowed)
        raise TypeError(f"{op}: {name} must be {names}, got {_short(tensor.dtype)}.")


def check_floating(op: str, name: str, tensor: object) -> None:
    check_dtype(op, name, tensor, *FLOATING)


def check_integer(op: str, name: str, tensor: object) -> None:
    check_dtype(op, name, tensor, torch.int64, torch.int32)


def check_like(op: str, name: str, tensor: Tensor, dtype: torch.dtype) -> None:
    """Raise unless `tensor` has the dtype of hidden_states."""
    if tensor.dtype != dtype:
        raise TypeError(
            f"{op}: {name} must have the dtype of hidden_states, {_short(dtype)}, got {_short(tensor.dtype)}. Cast one "
            "of them, or use torch.autocast."
        )


def check_shape(op: str, name: str, tensor: Tensor, shape: tuple[int, ...], because: str) -> None:
    if tuple(tensor.shape) != tuple(shape):
        raise ValueError(f"{op}: {name} must have shape {tuple(shape)} to match {because}, got {tuple(tensor.shape)}.")


def check_same_device(op: str, **tensors: Tensor | None) -> None:
    (first_name, first), *others = [(name, tensor) for name, tensor in tensors.items() if tensor is not None]
    for name, tensor in others:
        if tensor.device != first.device:
            raise ValueError(
                f"{op}: {name} must be on {first.device} like {first_name}, got {tensor.device}. Move it with .to()."
            )


def check_constant(op: str, name: str, tensor: Tensor) -> None:
    """Raise where a gradient is expected that would be lost in silence."""
    if tensor.requires_grad:
        raise ValueError(f"{op}: {name} must be a constant, got one that requires grad. Pass {name}.detach().")


def _short(kind: object) -> str:
    return str(kind).removeprefix("torch.")
