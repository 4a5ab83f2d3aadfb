"""Follow torch.autocast in ops that are not on its list, and compute as given inside them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from lift_kernels.checks import errors_of


def apply_autocast(hidden_states: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Cast as torch.nn.functional.linear does where autocast is on; float64 stays."""
    device_type = hidden_states.device.type
    # A meta device has no autocast, and asking whether it is on raises.
    if not torch.amp.is_autocast_available(device_type) or not torch.is_autocast_enabled(device_type):
        return hidden_states, weight, bias
    dtype = torch.get_autocast_dtype(device_type)
    return _narrow(hidden_states, dtype), _narrow(weight, dtype), None if bias is None else _narrow(bias, dtype)


@contextmanager
def exactly_as_given(op: str, hidden_states: Tensor) -> Iterator[None]:
    """Cast nothing again inside `op`, launch kernels on the device of the tensors, and let errors name the op."""
    device_type = hidden_states.device.type
    with errors_of(op), torch.autocast(device_type, enabled=False), torch.cuda.device_of(hidden_states):
        yield


def _narrow(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.to(dtype)
