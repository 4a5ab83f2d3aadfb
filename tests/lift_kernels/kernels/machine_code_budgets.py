"""Budgets of the machine code: one line a launch and architecture in machine_code_budgets.txt, and what exceeds them.

Registers, issue slots, special functions and the number of accesses may be 10 % over their budget; bytes, width,
barriers, matrix instructions, local memory and programs on a multiprocessor may be no worse at all.
`python -m tests.lift_kernels.kernels.set_budgets` sets them anew after a change of the kernels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

BUDGETS_FILE = Path(__file__).with_suffix(".txt")
# A change elsewhere in a kernel orders instructions and registers anew.
SLACK = 1.1
# Kernels whose programs read logits in blocks of so many; a trip of their loops is about one block.
_TAKES_LOGITS = ("softmax_rows", "sample_rows", "weighted_column_sums")


@dataclass(frozen=True)
class Multiprocessor:
    """What the programs on one multiprocessor share."""

    warps: int
    programs: int
    shared: int  # bytes
    registers: int  # of a thread's, in each of four parts: 16384 / 32 on NVIDIA, 512 on AMD
    reserved_shared: int = 1024  # bytes a program


MULTIPROCESSORS = {
    "sm80": Multiprocessor(64, 32, 164 << 10, 512),
    "sm90": Multiprocessor(64, 32, 228 << 10, 512),
    "sm100": Multiprocessor(64, 32, 228 << 10, 512),
    "sm120": Multiprocessor(48, 24, 100 << 10, 512),
    "gfx942": Multiprocessor(32, 16, 64 << 10, 512, reserved_shared=0),
}


@dataclass(frozen=True)
class Facts:
    """What one launch's machine code takes: registers of a thread, programs that fit on a multiprocessor, its hot loop.

    The loop's numbers are those of one thread: for each logit in kernels that take logits from memory, for each step
    over the width of the hidden states (BLOCK_D of D) in the tiled ones, for a trip or the whole program in others.
    """

    kernel: str
    use: str
    architecture: str
    blocks: str  # elements: BLOCK_V, or BLOCK_N x BLOCK_V x BLOCK_D
    warps: int
    registers: int
    programs: int
    slots: float  # issue slots
    special: float  # exponentials, logarithms, reciprocals
    read: float  # bytes of global memory
    written: float
    bits: int  # the narrowest access to global memory; 0: there is none
    accesses: float
    barriers: int  # of a trip, as are the next two
    matrix: int
    local: int

    @property
    def launch(self) -> tuple[str, str, str]:
        return self.kernel, self.use, self.architecture

    @classmethod
    def of(cls, report: dict[str, Any]) -> Facts:
        """Make the facts of a report of `compile_matrix`."""
        kernel = report["kernel"].removeprefix("_").removesuffix("_kernel")
        threads = (64 if report["architecture"] == "gfx942" else 32) * report["num_warps"]
        blocks, loop = list(report["blocks"].values()), report["hot_loop"]
        elements = math.prod(blocks) / threads if kernel in _TAKES_LOGITS else 1
        slots, special, read, written, accesses = (
            round(loop.get(name, 0) / elements, 2)
            for name in ("slots", "special", "bytes read", "bytes written", "accesses")
        )
        return cls(
            kernel, report["use"], report["architecture"], "x".join(map(str, blocks)), report["num_warps"],
            report["registers"], _programs(report), slots, special, read, written, loop.get("bits", 0), accesses,
            *(loop.get(name, 0) for name in ("barriers", "matrix", "local")),
        )  # fmt: skip

    def beyond(self, budget: Facts) -> list[str]:
        """What of these facts is worse than `budget` allows, in words."""
        at_most = {name: SLACK for name in ("registers", "slots", "special", "accesses")}
        at_most |= dict.fromkeys(("read", "written", "barriers", "local"), 1.0)
        wrong = []
        for name in (f.name for f in fields(self)[5:]):
            ours, allowed = getattr(self, name), getattr(budget, name)
            if name in at_most:
                is_fine = ours <= at_most[name] * allowed
            elif name in ("programs", "bits"):
                is_fine = ours >= allowed
            else:
                is_fine = ours == allowed
            if not is_fine:
                wrong.append(f"{' / '.join(self.launch)}: {name} {ours:g}, budget {allowed:g}")
        return wrong


def _programs(report: dict[str, Any]) -> int:
    """How many programs a multiprocessor holds at a time."""
    has, num_warps = MULTIPROCESSORS[report["architecture"]], report["num_warps"]
    # A warp takes registers in eights from one of the four parts.
    warps = min(has.registers // (8 * math.ceil(report["registers"] / 8)) * 4, has.warps)
    shared = has.shared // max(report["shared"] + has.reserved_shared, 1)
    return min(warps // num_warps, shared, has.programs)


def read_budgets(text: str | None = None) -> tuple[str, dict[tuple[str, str, str], Facts]]:
    """Read the table that `write_table` wrote, by default the one that is kept: triton's release, and facts by launch."""
    release, _, *lines = (BUDGETS_FILE.read_text() if text is None else text).splitlines()
    types = {"int": int, "float": float, "str": str}
    table = {}
    for line in lines:
        cells = (cell.strip() for cell in line.split("|"))
        facts = Facts(*(types[f.type](cell) for f, cell in zip(fields(Facts), cells, strict=True)))
        table[facts.launch] = facts
    return release.removeprefix("triton "), table


def write_table(facts: Iterable[Facts], release: str) -> str:
    """Write one line for each, columns aligned, under a line of names."""
    rows = [[f.name for f in fields(Facts)]]
    rows += [[f"{cell:g}" if isinstance(cell, float) else str(cell) for cell in astuple(f)] for f in facts]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [" | ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([f"triton {release}", *lines, ""])
