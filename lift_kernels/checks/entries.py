"""What tensors hold, read only where that is free: on a CPU, outside of anything that traces."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lift_kernels.checks.numbers import check_positive
from lift_kernels.checks.tensors import (
    check_constant,
    check_dtype,
    check_floating,
    check_same_device,
    check_shape,
)

_NUMBERS = (torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.int64, torch.int32)


def has_values(*tensors: Tensor) -> bool:
    """Return whether these tensors' values can be read: not while torch.compile traces, nor those of meta tensors.

    Fake tensors have none either, and those of torch.func stand for many.
    """
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return False
    return not any(tensor.is_meta or type(tensor) not in (Tensor, nn.Parameter) for tensor in tensors)


def is_on_host(*tensors: Tensor) -> bool:
    """Return whether reading these tensors' values neither synchronises a device nor breaks a trace."""
    # A dispatch mode (a tracer, for one) would see the reading.
    if not has_values(*tensors) or torch._C._len_torch_dispatch_stack():
        return False
    return all(tensor.device.type == "cpu" for tensor in tensors)


def check_entries(op: str, name: str, tensor: Tensor, is_wrong: Callable[[], Tensor], must: str) -> None:
    """Raise ValueError for the first entry of `tensor` that `is_wrong`, of its shape; only where it is on the host."""
    if not is_on_host(tensor):
        return
    wrong = is_wrong()
    if not wrong.any():
        return
    index = wrong.nonzero()[0].tolist()
    place = f"[{', '.join(map(str, index))}]" if index else ""
    raise ValueError(f"{op}: {name}{place} must {must}, got {tensor[tuple(index)].item()}.")


def check_token_weight(
    op: str, token_weight: Tensor | None, targets: Tensor, ignore_index: int, name: str = "targets"
) -> None:
    """Raise unless `token_weight` is None or a constant of the shape of `targets`, finite where they take part."""
    if token_weight is None:
        return
    check_floating(op, "token_weight", token_weight)
    check_shape(op, "token_weight", token_weight, targets.shape, f"{name} {tuple(targets.shape)}")
    check_same_device(op, **{name: targets, "token_weight": token_weight})
    check_constant(op, "token_weight", token_weight)
    check_entries(
        op, "token_weight", token_weight, lambda: ~token_weight.isfinite() & (targets != ignore_index), "be finite"
    )


def check_finite(op: str, name: str, tensor: Tensor) -> None:
    check_entries(op, name, tensor, lambda: ~tensor.isfinite(), "be finite")


def check_denominator(
    op: str, denominator: object, reduction: str, device: torch.device, name: str = "denominator"
) -> None:
    """Raise unless `denominator` is None, or with "mean" a positive number or a 0-d tensor, a constant."""
    if denominator is None:
        return
    if reduction != "mean":
        raise ValueError(f"{op}: {name} belongs to reduction='mean', got reduction={reduction!r}.")
    if not isinstance(denominator, Tensor):
        check_positive(op, name, denominator)
        return
    check_dtype(op, name, denominator, *_NUMBERS)
    check_shape(op, name, denominator, (), "a scalar")
    check_constant(op, name, denominator)
    if denominator.device != device and denominator.device.type != "cpu":
        raise ValueError(f"{op}: {name} must be on {device} or the CPU, got {denominator.device}. Move it with .to().")
    # NaN passes in a tensor: it is how an objective says that its loss is none.
    check_entries(op, name, denominator, lambda: (denominator <= 0) | denominator.isinf(), "be positive and finite")
