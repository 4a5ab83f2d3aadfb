"""Scratch memory in few sizes, so that a caching allocator finds the blocks of earlier steps again.

The number of rows that take part differs from step to step, and with it every size. Torch's allocator keeps the blocks
of old sizes and cuts pieces off them for new ones; after some hundred steps it would hold three to five times of what a
step needs. Memory is therefore asked for in halves of the most that may be asked for: that itself, a half, a quarter
and so on.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

_ALIGNED_BYTES = 256


class Part(NamedTuple):
    """A tensor that lies in scratch memory."""

    shape: tuple[int, ...]
    dtype: torch.dtype


def allocate(device: Tensor, most_bytes: int, *parts: Part) -> list[Tensor]:
    """Return tensors of these parts, not filled, in one allocation on the device of the tensor `device`.

    It takes `most_bytes`, which may not depend on the number of rows, or a half of it, a quarter, ...: the least that
    holds the parts. Where even `most_bytes` does not, as 0 does not, it takes what they need.
    """
    sizes = [prod(part.shape) * part.dtype.itemsize for part in parts]
    # Where a part ends, the next one starts, aligned.
    starts = [0]
    for size in sizes:
        starts.append(-(-(starts[-1] + size) // _ALIGNED_BYTES) * _ALIGNED_BYTES)
    memory = device.new_empty(_size_class(starts[-2] + sizes[-1], most_bytes), dtype=torch.uint8)
    return [
        memory[start : start + size].view(part.dtype).view(part.shape)
        for part, size, start in zip(parts, sizes, starts, strict=False)
    ]


def _size_class(needed: int, most: int) -> int:
    size = most
    while size // 2 >= max(needed, 1):
        size //= 2
    return max(size, needed)
