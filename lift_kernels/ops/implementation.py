"""The two implementations of the linear-head ops: modules with the same functions."""

from __future__ import annotations

from types import ModuleType

from lift_kernels.fallback import linear_cross_entropy as fallback


def implementation(backend: str) -> ModuleType:
    """The module that runs a resolved backend, "triton" or "torch". Triton is loaded at its first use."""
    if backend == "triton":
        from lift_kernels.kernels import linear_cross_entropy as kernels

        return kernels
    return fallback
