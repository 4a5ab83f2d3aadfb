"""The two implementations of the linear-head ops: modules with the same functions."""

from __future__ import annotations

from types import ModuleType

from torch import Tensor

from lift_kernels.backends import resolve_backend
from lift_kernels.fallback import linear_cross_entropy as fallback


def implementation(op: str, backend: str, hidden_states: Tensor) -> ModuleType:
    """The module that runs `backend` on `hidden_states`. Triton is loaded at its first use.

    Called inside registered ops, which torch.compile does not look into: what it asks of the machine cannot be traced.
    """
    if resolve_backend(op, backend, hidden_states.device, hidden_states.dtype) == "triton":
        from lift_kernels.kernels import linear_cross_entropy as kernels

        return kernels
    return fallback
