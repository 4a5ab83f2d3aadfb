"""The two implementations of each op: modules of one name with the same functions, in `kernels` and in `fallback`."""

from __future__ import annotations

import importlib
from types import ModuleType

import torch

from lift_kernels.backends import resolve_backend


def implementation(
    module: str, op: str, backend: str, device: torch.device, dtype: torch.dtype | None = None
) -> ModuleType:
    """The `module` that runs `backend` for inputs of `dtype` on `device`. Triton is loaded at its first use.

    Called inside registered ops, which torch.compile does not look into: what it asks of the machine cannot be traced.
    """
    folder = "kernels" if resolve_backend(op, backend, device, dtype) == "triton" else "fallback"
    return importlib.import_module(f"lift_kernels.{folder}.{module}")
