"""Argument checks shared by the public ops, and the wording of their errors.

No check here reads a tensor's values on an accelerator: that would synchronise the device.
"""

from __future__ import annotations

import torch
from torch import Tensor


def check_dtype(op: str, name: str, tensor: object, *allowed: torch.dtype) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(
            f"{op}: {name} must be a torch.Tensor, got {type(tensor).__name__}. Make one with torch.tensor()."
        )
    if tensor.dtype not in allowed:
        names = " or ".join(_short(dtype) for dtype in allowed)
        raise TypeError(f"{op}: {name} must be {names}, got {_short(tensor.dtype)}.")


def check_floating(op: str, name: str, tensor: Tensor) -> None:
    check_dtype(op, name, tensor, torch.float32, torch.bfloat16, torch.float16, torch.float64)


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


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def check_linear(op: str, hidden_states: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    check_floating(op, "hidden_states", hidden_states)
    if hidden_states.dim() < 1 or weight.dim() != 2 or weight.shape[1] != hidden_states.shape[-1]:
        raise ValueError(
            f"{op}: weight must have shape (V, D) with D = {hidden_states.shape[-1] if hidden_states.dim() else '?'} "
            f"to match hidden_states {tuple(hidden_states.shape)}, got {tuple(weight.shape)}."
        )
    if weight.shape[0] == 0 or weight.shape[1] == 0:
        raise ValueError(
            f"{op}: weight must not be empty, got {tuple(weight.shape)}. A sharded parameter must be gathered first."
        )
    tensors = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
    for name, tensor in tensors.items():
        if tensor.dtype != hidden_states.dtype:
            raise TypeError(
                f"{op}: {name} must have the dtype of hidden_states, {_short(hidden_states.dtype)}, "
                f"got {_short(tensor.dtype)}. Cast one of them, or use torch.autocast."
            )
    if bias is not None:
        check_shape(op, "bias", bias, (weight.shape[0],), f"weight {tuple(weight.shape)}")


def check_targets(op: str, targets: Tensor, hidden_states: Tensor, name: str = "targets") -> None:
    check_dtype(op, name, targets, torch.int64)
    check_shape(op, name, targets, hidden_states.shape[:-1], f"hidden_states {tuple(hidden_states.shape)}")


def check_denominator(op: str, denominator: float | Tensor | None, reduction: str) -> None:
    if denominator is None:
        return
    if reduction != "mean":
        raise ValueError(f"{op}: denominator belongs to reduction='mean', got reduction={reduction!r}.")
    if isinstance(denominator, Tensor):
        check_shape(op, "denominator", denominator, (), "a scalar")
        if denominator.requires_grad:
            raise ValueError(
                f"{op}: denominator must be a constant, got one that requires grad. Pass denominator.detach()."
            )
    elif not denominator > 0:
        raise ValueError(f"{op}: denominator must be positive, got {denominator}.")


def check_softcap(op: str, logit_softcap: float | None) -> None:
    if logit_softcap is not None and not logit_softcap > 0:
        raise ValueError(f"{op}: logit_softcap must be positive or None, got {logit_softcap}.")


SEED_END = 2**63


def check_rows(op: str, name: str, tensor: Tensor) -> None:
    if tensor.dim() != 2:
        raise ValueError(
            f"{op}: {name} must have shape (B, L), got {tuple(tensor.shape)}. Reshape it, one row per sequence."
        )


def check_int(op: str, name: str, value: object, end: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{op}: {name} must be an int, got {type(value).__name__}. Convert it with int().")
    if not 0 <= value < end:
        raise ValueError(f"{op}: {name} must lie in [0, {end}), got {value}.")
