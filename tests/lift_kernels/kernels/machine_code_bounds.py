"""What the machine code of the row kernel and the tiles lets a GPU do at most: predictions, from data sheets alone.

A bound is the time of one unit if nothing else took any: issuing instructions, special functions, the second-level cache,
device memory. Latency, barriers and launches come on top.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tests.lift_kernels.kernels.machine_code_budgets import Facts

_READS_LOGITS = ("softmax_rows", "sample_rows")

_HEAD = """\
# Machine code of the kernels

Made by `python -m tests.lift_kernels.kernels.set_budgets` with triton {triton}: what each launch compiles to, and what that allows at
most. The facts are read from the machine code and held by `make test`
(`tests/lift_kernels/kernels/machine_code_budgets.txt` has every launch and architecture). **The bounds are predictions**: they follow
from the facts and from these figures, nothing was measured, and latency, barriers and launches come on top.

| | multiprocessors | clock, GHz | second-level cache, TB/s | device memory, TB/s |
|---|---|---|---|---|
{gpus}

A multiprocessor issues 4 instructions of a warp (128 threads) and 16 special functions (exponentials, reciprocals) a clock.

## Rows of logits

One thread's hot loop, for each logit: issue slots, special functions, bytes read and written. "Programs" share a multiprocessor.
Bounds in 10^12 logits a second, the least one bold; that of the cache holds while the logits lie in it.

| launch | GPU | registers | programs | barriers | slots | special | bytes | width, bits | issue | special | cache | memory |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
{rows}

A row's reference moves with its logits, which costs a maximum and a branch for each block. Fixed by the row's first block, 30 nats
above its largest logit, it would need neither, but a second kernel for rows that pass it by 88 nats. Without that kernel, compiled
by triton 3.7.1 for bfloat16 (registers, programs, barriers, slots):

| launch | A100 80 GB | with a fixed reference | H100 SXM | with a fixed reference |
|---|---|---|---|---|
| frozen head | 71, 28, 0, 13 | 67, 28, 0, 10.25 | 64, 32, 0, 13.38 | 66, 28, 0, 10.19 |
| frozen head of 500 rows | 64, 8, 3, 14.12 | 67, 7, 0, 10.25 | 64, 8, 3, 14.38 | 56, 9, 0, 10.19 |
| trained head | 95, 20, 0, 16.5 | 83, 20, 0, 14.88 | 79, 24, 0, 17.31 | 80, 24, 0, 14.81 |
| trained head with bias | 96, 20, 0, 18.88 | 96, 20, 0, 18.25 | 95, 20, 0, 19 | 95, 20, 0, 18.06 |
| softcap | 96, 20, 0, 44.44 | 79, 24, 0, 44.12 | 95, 20, 0, 44.62 | 80, 24, 0, 44.12 |

Special functions and bytes are the same. It was left: issue slots bound none of these launches, the second kernel would have to form a
row's products again, which moving the reference does not, and where a vocabulary begins with entries that a bias switches off, it
would have to do so for every row, each from the whole head.

## Tiles of logits

One step of BLOCK_D over the width of the hidden states: issue slots of a warp, matrix instructions, bytes that a program copies
to shared memory. Bounds in 10^12 floating-point operations a second; the cache's is that of tiles that share nothing.

| launch | GPU | tile | registers | programs | barriers | slots | matrix | KB | issue | cache |
|---|---|---|---|---|---|---|---|---|---|---|
{tiles}
"""


@dataclass(frozen=True)
class Gpu:
    """Figures of a data sheet: bandwidths in bytes a second, `cache` None where none is published."""

    name: str
    multiprocessors: int
    clock: float
    cache: float | None
    memory: float


GPUS = {
    "sm80": Gpu("A100 80 GB", 108, 1.41e9, 5120 * 1.41e9, 2.04e12),
    "sm90": Gpu("H100 SXM", 132, 1.755e9, 5120 * 1.755e9, 3.35e12),
    "sm100": Gpu("B200", 148, 1.965e9, None, 8.0e12),
}


def bounds(facts: Facts, gpu: Gpu) -> dict[str, float]:
    """Units a second by what bounds them: logits, or floating-point operations of a tile."""
    clocks = gpu.multiprocessors * gpu.clock
    if "x" not in facts.blocks:
        moved = facts.read + facts.written
        found = {"issue": 128 * clocks / facts.slots, "special": 16 * clocks / max(facts.special, 1e-9)}
        return found | {"cache": (gpu.cache or math.nan) / moved, "memory": gpu.memory / moved}
    operations = 2 * math.prod(map(int, facts.blocks.split("x")))
    moved = facts.read * 32 * facts.warps
    return {
        "issue": operations * 4 * clocks / (facts.slots * facts.warps),
        "cache": operations * (gpu.cache or math.nan) / moved,
    }


def write_document(facts: Iterable[Facts], triton: str) -> str:
    """Return the Markdown of docs/machine_code.md."""
    rows, tiles = [], []
    for f in facts:
        if (gpu := GPUS.get(f.architecture)) is None:
            continue
        if f.kernel not in _READS_LOGITS and not f.kernel.startswith("tiled_"):
            continue
        found = {name: bound / 1e12 for name, bound in bounds(f, gpu).items()}
        numbers = [f.registers, f.programs, f.barriers, f"{f.slots:g}"]
        if f.kernel in _READS_LOGITS:
            least = min(bound for bound in found.values() if not math.isnan(bound))
            cells = [_cell(bound, bound == least) for bound in found.values()]
            rows.append([f.use, gpu.name, *numbers, f"{f.special:g}", f"{f.read:g} + {f.written:g}", f.bits, *cells])
        else:
            copied = f"{f.read * 32 * f.warps / 1024:g}"
            launch = f"{f.kernel.removeprefix('tiled_')}: {f.use}"
            tiles.append([launch, gpu.name, f.blocks, *numbers, f.matrix, copied, *map(_cell, found.values())])
    gpus = [
        [f"{gpu.name} ({name})", gpu.multiprocessors, gpu.clock / 1e9, _cell(gpu.cache / 1e12 if gpu.cache else math.nan),
         gpu.memory / 1e12]
        for name, gpu in GPUS.items()
    ]  # fmt: skip
    return _HEAD.format(triton=triton, gpus=_table(gpus), rows=_table(rows), tiles=_table(tiles))


def _cell(bound: float, is_least: bool = False) -> str:
    if math.isnan(bound):
        return "-"
    text = f"{bound:.0f}" if bound >= 100 else f"{bound:.2g}"
    return f"**{text}**" if is_least else text


def _table(rows: Iterable[Iterable[object]]) -> str:
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in rows)
