"""Follow torch.autocast in ops that are not on its list, and compute as given inside them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from lift_kernels.checks import errors_of, has_values


def apply_autocast(hidden_states: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Cast as torch.nn.functional.linear does where autocast is on; float64 stays."""
    device_type = hidden_states.device.type
    # A meta device has no autocast, and asking whether it is on raises.
    if not torch.amp.is_autocast_available(device_type) or not torch.is_autocast_enabled(device_type):
        return hidden_states, weight, bias
    dtype = torch.get_autocast_dtype(device_type)
    narrow_weight = _cached_cast(weight, dtype) if _is_cached(weight, dtype) else _narrow(weight, dtype)
    return _narrow(hidden_states, dtype), narrow_weight, None if bias is None else _narrow(bias, dtype)


@contextmanager
def exactly_as_given(op: str, hidden_states: Tensor) -> Iterator[None]:
    """Cast nothing again inside `op`, launch kernels on the device of the tensors, and let errors name the op."""
    device_type = hidden_states.device.type
    with errors_of(op), torch.autocast(device_type, enabled=False), torch.cuda.device_of(hidden_states):
        yield


def _is_cached(weight: Tensor, dtype: torch.dtype) -> bool:
    """Return whether autocast keeps the cast of `weight` until its outermost context ends (ATen/autocast_mode.cpp)."""
    return (
        has_values(weight)
        and not torch.is_inference_mode_enabled()
        and torch.is_autocast_cache_enabled()
        and weight.dtype == torch.float32
        and weight.dtype != dtype
        and weight.requires_grad
        and weight.is_leaf
        and not weight._is_view()
    )


def _cached_cast(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the cast of `weight` (V, D) that autocast caches, the same that torch's own linear layers use.

    Torch has no function for it. So a product with a matrix of no columns, which costs nothing, takes the cast, and
    keeps it for its backward pass, where it can be found. The other is in `dtype`, so that no cast of it is cached too.
    """
    # Saved-tensor hooks of the caller, checkpointing for one, are for what a backward pass will read.
    with torch.enable_grad(), saved_tensors_hooks(_as_it_is, _as_it_is):
        product = torch.mm(weight, weight.new_empty((weight.shape[1], 0), dtype=dtype).requires_grad_())
        cast: Tensor = product.grad_fn._saved_self  # type: ignore[union-attr]
    # Torch caches what it met first, and that has no graph where it was met without one.
    return cast if cast.requires_grad else weight.to(cast.dtype)


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor


def _narrow(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.to(dtype)
