"""Block sizes and warps of every kernel: one table, per dtype and architecture, with the reason for each entry.

Nothing is tuned inside a user's step: a configuration is looked up. `tests/lift_kernels/kernels/compile_matrix.py`
compiles each entry for its architecture and holds it to the shared memory and registers there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch

from lift_kernels.kernels.products import dot_precision

# Bytes of shared memory that one program may use.
SHARED_MEMORY = MappingProxyType(
    {"sm80": 166_912, "sm90": 232_448, "sm100": 232_448, "sm120": 101_376, "gfx942": 65_536}
)
ARCHITECTURES = tuple(SHARED_MEMORY)


@dataclass(frozen=True)
class Launch:
    """How a kernel is launched: `blocks` are its constexpr block sizes by name."""

    blocks: Mapping[str, int]
    num_warps: int
    num_stages: int = 1
    fuses: bool = True
    """Whether a * b + c is rounded once. Not where a result must have the same bits on every backend."""

    @property
    def options(self) -> dict[str, int]:
        """Keyword arguments of the launch, the same machine arithmetic on every release of Triton."""
        # Where it is not said whether sums are fused, triton 3.9 warns and the releases after it round twice.
        return {
            **self.blocks, "num_warps": self.num_warps, "num_stages": self.num_stages, "enable_fp_fusion": self.fuses
        }  # fmt: skip


def architecture(device: torch.device) -> str:
    """Return the entry of the table for `device`: its own architecture, or the nearest with no more shared memory."""
    if torch.version.hip is not None:
        return "gfx942"
    if device.type != "cuda":
        return "sm90"  # under the interpreter: what ships to the GPU that is measured
    major, minor = torch.cuda.get_device_capability(device)
    if (major, minor) == (8, 0):
        return "sm80"
    # 8.6 and 8.9 have the shared memory of 12.0, and like it no warp-group instructions.
    return {9: "sm90", 10: "sm100", 11: "sm100"}.get(major, "sm120")


def launch_config(
    kernel: str, dtype: torch.dtype, device: torch.device, num_rows: int, *, has_softcap: bool = False
) -> Launch:
    """Return the launch of `kernel` for inputs of `dtype`.

    The tiles of few rows and of softcaps are smaller; each of many rows that lie in memory is one warp's.
    """
    kind = "half" if dtype.itemsize == 2 else dot_precision(dtype)
    launch = LAUNCHES[kernel, kind, architecture(device)]
    if "BLOCK_N" not in launch.blocks:
        if num_rows < _MANY_ROWS:
            return launch
        return replace(_with(launch, BLOCK_V=launch.blocks["BLOCK_V"] // launch.num_warps), num_warps=1)
    launch = _smaller(launch, BLOCK_N=max(_LEAST_BLOCK_N, 1 << max(num_rows - 1, 0).bit_length()))
    return _smaller(launch, BLOCK_V=_SOFTCAP_BLOCK_V) if has_softcap else launch


def narrowed(launch: Launch, num_columns: int) -> Launch:
    """Return the launch of a kernel of rows for a piece of `num_columns`: the last of an odd vocabulary is narrow."""
    if num_columns < _NARROW_COLUMNS:
        return _with(launch, BLOCK_V=launch.blocks["BLOCK_V"] // 4)
    return launch


def _tiles(block_n: int, block_v: int, block_d: int, num_warps: int, num_stages: int) -> Launch:
    blocks = MappingProxyType({"BLOCK_N": block_n, "BLOCK_V": block_v, "BLOCK_D": block_d})
    return Launch(blocks, num_warps, num_stages)


def _with(launch: Launch, **blocks: int) -> Launch:
    return replace(launch, blocks=MappingProxyType({**launch.blocks, **blocks}))


def _smaller(launch: Launch, **most: int) -> Launch:
    return _with(launch, **{name: min(launch.blocks[name], size) for name, size in most.items()})


def _drawn_columns(kind: str, architecture: str) -> int:
    # Noise needs registers: tiles of 128 rows, or of 64 x 256, would spill 1 to 2 KB a thread, and on gfx942 32 x 128
    # would; of float32 no two programs would share a multiprocessor.
    return 32 if kind == "ieee" else 64 if architecture == "gfx942" else 128


# The least that a matrix instruction takes. Reading the head bounds the time of so few rows, so the width of a tile and
# the stages stay as they are: they are what is under way from memory.
_LEAST_BLOCK_N = 16
# tanh needs registers: tiles of 128 x 256 would spill 1 KB a thread.
_SOFTCAP_BLOCK_V = 128

# Both kernels multiply (BLOCK_N, BLOCK_D) by (BLOCK_D, BLOCK_V), with a stage of shared memory for each pair under way,
# and keep (BLOCK_N, BLOCK_V) float32 in registers: with 8 warps 128 x 128 take 64 of a thread's 255, 128 x 256 twice
# that. At most 16 bytes a thread spill, by some releases of Triton 32 or 48, and only after the loop over D, once a
# tile.
_HALF_TILES = {
    # 32 KB a stage, 96 KB of 163. 128 x 256 x 32 would spill 56 bytes in the statistics.
    "sm80": _tiles(128, 128, 64, num_warps=8, num_stages=4),
    # 48 KB a stage, 192 KB of 227. 256 columns are the widest warp-group instruction: shared memory is read least often
    # for each multiplication.
    "sm90": _tiles(128, 256, 64, num_warps=8, num_stages=4),
    # 32 KB a stage, 128 KB of 227; sums are in tensor memory until the end. Statistics of 128 x 256 would spill 0.8 KB.
    "sm100": _tiles(128, 128, 64, num_warps=8, num_stages=4),
    # 32 KB a stage, 64 KB of 99.
    "sm120": _tiles(128, 128, 64, num_warps=8, num_stages=3),
    # One pair of operands in 32 KB of 64, the next in registers. 4 warps need 260 registers, 8 at most 170.
    "gfx942": _tiles(128, 128, 64, num_warps=8, num_stages=2),
}
# The same bytes: elements are twice as wide, and a stage half as deep. gfx942 multiplies float32 as it is.
_TF32_TILES = {name: _with(launch, BLOCK_D=32) for name, launch in _HALF_TILES.items() if name != "gfx942"}
# Without tensor cores each thread multiplies, and holds operands in registers too. 64 x 64 tiles take 128 registers or
# fewer, so that two programs share a multiprocessor and hide each other's loads.
_FLOAT32_TILES = {
    name: _tiles(64, 64, 32, num_warps=8, num_stages=2 if name == "gfx942" else 3) for name in ARCHITECTURES
}

# One program a row, 16 elements a thread in each step, and the next 16 under way: 64 to 128 registers. Four warps share
# a row where there are few of them. One warp needs neither barriers nor shared memory to find a block's largest logit,
# and 16 to 32 of them share a multiprocessor: from the number of rows on that leave enough under way, 2 KB a warp.
# Warps of gfx942 have 64 threads.
_MANY_ROWS = 1024
_ROWS = {
    name: Launch(MappingProxyType({"BLOCK_V": 2048}), num_warps=2 if name == "gfx942" else 4) for name in ARCHITECTURES
}
# Of a narrow piece 4 elements a thread, the least that `sum_of_fours` adds. It is compiled apart anyway: its loads are
# no vectors.
_NARROW_COLUMNS = 64

# By kernel, operands ("half"; "tf32" or "ieee" for float32, as torch multiplies it) and architecture.
LAUNCHES: MappingProxyType[tuple[str, str, str], Launch] = MappingProxyType(
    {
        (kernel, kind, name): launch
        for kernel in ("tiled_statistics", "tiled_gradient")
        for kind, tiles in (("half", _HALF_TILES), ("tf32", _TF32_TILES), ("ieee", _FLOAT32_TILES))
        for name, launch in tiles.items()
    }
    | {("softmax_rows", kind, name): launch for kind in ("half", "tf32", "ieee") for name, launch in _ROWS.items()}
    | {
        ("sample_rows", kind, name): replace(launch, fuses=False)
        for kind in ("half", "tf32", "ieee")
        for name, launch in _ROWS.items()
    }
    | {
        ("tiled_samples", kind, name): replace(
            _smaller(launch, BLOCK_N=64, BLOCK_V=_drawn_columns(kind, name)), fuses=False
        )
        for kind, tiles in (("half", _HALF_TILES), ("tf32", _TF32_TILES), ("ieee", _FLOAT32_TILES))
        for name, launch in tiles.items()
    }
)

# Kernels that only move memory: alike on every architecture.
COPY_ROWS = Launch(MappingProxyType({"BLOCK_D": 1024}), num_warps=4)  # 8 elements a thread: 16 bytes of bfloat16
CORRUPT_TOKENS = Launch(MappingProxyType({"BLOCK_L": 1024}), num_warps=4)  # 8 ids a thread
# A target that many rows share is summed 32 rows at a time; most have one row, and then 1/32 of a tile is loaded.
ADD_TARGET_ROWS = Launch(MappingProxyType({"BLOCK_N": 32, "BLOCK_D": 128}), num_warps=4)
ROW_GRADIENTS = Launch(MappingProxyType({"BLOCK_V": 1024}), num_warps=4)  # 8 elements a thread, as in COPY_ROWS
FINISH_ROWS = Launch(MappingProxyType({"BLOCK_N": 128}), num_warps=4)  # a row a thread
# Columns side by side are one load of a warp; 32 rows of them are 8 KB of bfloat16 under way.
COLUMN_SUMS = Launch(MappingProxyType({"BLOCK_N": 32, "BLOCK_V": 128}), num_warps=4)


def merge_partials_launch(num_parts: int) -> Launch:
    """One warp holds the parts of a row, 1024 at most, in registers."""
    return Launch(MappingProxyType({"BLOCK_S": max(2, 1 << max(num_parts - 1, 0).bit_length())}), num_warps=1)


def select_tokens_launch(length: int, device: torch.device) -> Launch:
    """One program holds a row of `length` in registers: 16 positions a thread, more where 1024 are not enough."""
    threads = 64 if architecture(device) == "gfx942" else 32
    block = max(512, 1 << max(length - 1, 0).bit_length())
    num_warps = min(max(block // (16 * threads), 1), 1024 // threads)
    return Launch(MappingProxyType({"BLOCK_L": block}), num_warps)
