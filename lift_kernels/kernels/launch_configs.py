"""Block sizes and warps of every kernel: one table, per dtype and architecture, with the reason for each entry.

Nothing is tuned inside a user's step: a configuration is looked up. `tests/lift_kernels/kernels/compile_matrix.py`
compiles each entry for its architecture and holds it to the shared memory and registers there.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import torch

# Bytes of shared memory that one program may use.
SHARED_MEMORY = MappingProxyType(
    {"sm80": 166_912, "sm90": 232_448, "sm100": 232_448, "sm120": 101_376, "gfx942": 65_536}
)
ARCHITECTURES = tuple(SHARED_MEMORY)


@dataclass(frozen=True)
class Launch:
    """How a kernel is launched: `blocks` are its constexpr block sizes by name."""

    blocks: MappingProxyType[str, int]
    num_warps: int
    num_stages: int = 1


def architecture(device: torch.device) -> str:
    """The entry of the table for `device`: its own architecture, or the nearest with no more shared memory."""
    if torch.version.hip is not None:
        return "gfx942"
    if device.type != "cuda":
        return "sm90"  # under the interpreter: what ships to the GPU that is measured
    major, minor = torch.cuda.get_device_capability(device)
    if (major, minor) == (8, 0):
        return "sm80"
    # 8.6 and 8.9 have the shared memory of 12.0, and like it no warp-group instructions.
    return {9: "sm90", 10: "sm100", 11: "sm100"}.get(major, "sm120")
