"""Extra memory of a step at its peak: resident bytes of this process, or bytes allocated on the CUDA device."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch

Result = TypeVar("Result")
MIB = 1 << 20


def resident_peak_of(step: Callable[[], Result]) -> tuple[Result, int]:
    """Return what `step` returns, and the resident bytes at their peak beyond those before it.

    Needs Linux. Measure in a fresh process: memory that an earlier step left in the pools of torch is not extra.
    """
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts again from the present size
    before = _status("VmRSS")
    result = step()
    return result, _status("VmHWM") - before


def hand_back_freed() -> None:
    """Let the C library give freed memory back, which a step would otherwise use without growing; needs glibc."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) << 10
    raise RuntimeError(f"/proc/self/status has no {field}")


def cuda_peak_of(step: Callable[[], Any]) -> int:
    """Return the bytes allocated at the peak of `step` beyond those before it; its result counts."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    result = step()
    torch.cuda.synchronize()
    peak = torch.cuda.max_memory_allocated()
    del result
    return peak - before
