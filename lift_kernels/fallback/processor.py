"""What the processor can do that decides which product is taken."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

import torch


@cache
def has_avx512_bf16() -> bool:
    """Whether it multiplies bfloat16, and torch knows: without the instructions oneDNN emulates them, which is slow."""
    return torch.backends.mkldnn.is_available() and _torch_says("_is_avx512_bf16_supported")


def has_amx() -> bool:
    """Whether it multiplies tiles of bfloat16, as far as torch knows."""
    return _torch_says("_is_amx_tile_supported")


@cache
def is_by_intel() -> bool:
    """Whether Intel made it, as far as Linux says: on others' processors MKL takes its oldest code."""
    facts = Path("/proc/cpuinfo")
    return _is_x86() and facts.exists() and "GenuineIntel" in facts.read_text()


def _torch_says(name: str) -> bool:
    supported = getattr(torch.cpu, name, None)
    return bool(_is_x86() and supported and supported())


def _is_x86() -> bool:
    return platform.machine() in ("x86_64", "AMD64")
