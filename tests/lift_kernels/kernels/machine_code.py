"""What a kernel's machine code executes, read from its listing: NVIDIA's SASS or AMD's assembly. Pure functions of text.

The loop that moves a kernel's data decides its time, so what counts is one trip of it (`hot_loop`): the way through the
loop with the fewest instructions. What a branch may skip, such as moving a row's reference, is left out; a loop inside
counts for itself. An instruction takes one issue slot of its warp, whatever its predicate says.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

_SASS = re.compile(r"^\s+/\*([0-9a-f]{4,})\*/\s+(@!?U?P\w+\s+)?([A-Z][\w.]+)([^;]*);", re.MULTILINE)
_AMDGCN = re.compile(r"^(?:(\.L\w+|\w+):|\t([a-z]\w+)(?:[ \t]+([^;\n]*))?)", re.MULTILINE)
# By the start of an instruction's name; the first that fits. NOP and the waits of gfx9 are no work.
_CLASSES = {
    "": r"NOP|s_nop|s_waitcnt",
    "special": r"MUFU|v_(exp|log|rcp|rsq|sqrt|sin|cos)_f",
    "matrix": r"[HQID]MMA|[HQI]GMMA|UTC[A-Z]*MMA|v_mfma",
    "multiply_adds": r"FFMA|v_(pk_)?(fma|fmac|mad)_f32",
    "copies": r"LDGSTS|UTMALDG|UBLKCP",  # from global to shared memory, while others compute
    "loads": r"LDG(?!DEP)|(global|buffer|flat)_load",
    "stores": r"STG|(global|buffer|flat)_store",
    "shared": r"LDS|STS|LDSM|STSM|ATOMS|ds_(read|write)",
    "local": r"LDL|STL|scratch_",
    "barriers": r"BAR\b|s_barrier",
}
_BITS = re.compile(r"\.(256|128|64|[US]16|[US]8)(?=\.|$)|_(dwordx4|dwordx3|dwordx2|[us]?short|[us]?byte)")
_NARROW = {"dwordx4": 128, "dwordx3": 96, "dwordx2": 64, "short": 16, "byte": 8}
_MOVES = ("loads", "stores", "copies")


@dataclass(frozen=True)
class Instruction:
    """One instruction, where it may jump to (an index into the listing), and whether the next one may follow."""

    name: str
    target: int | None = None
    falls_through: bool = True

    @property
    def kind(self) -> str:
        """Its class, "other" if it has none, or "" where it takes no issue slot."""
        return _kind(self.name)

    @property
    def bits(self) -> int:
        """How much a memory access moves for a thread."""
        found = _BITS.search(self.name)
        if found is None:
            return 32
        nvidia, amd = found.groups()
        if nvidia:
            return int(nvidia.lstrip("US"))
        return next(bits for width, bits in _NARROW.items() if amd.endswith(width))


@cache
def _kind(name: str) -> str:
    return next((kind for kind, pattern in _CLASSES.items() if re.match(pattern, name)), "other")


def parse_sass(text: str) -> list[Instruction]:
    """Read what `cuobjdump -sass` prints of a kernel."""
    lines = [(int(m[1], 16), (m[2] or "").strip(), m[3], m[4]) for m in _SASS.finditer(text)]
    index = {address: i for i, (address, *_) in enumerate(lines)}
    listing = []
    for _, predicate, name, operands in lines:
        target, always = None, predicate in ("", "@PT", "@UPT")
        if name.split(".")[0] == "BRA":
            address = re.search(r"0x([0-9a-f]+)", operands)
            target = index.get(int(address[1], 16)) if address else None
            # "BRA.U !UP0, 0x4f0", "BRA P1, 0x4f0" and "BRA.DIV" depend on what is not written before them.
            always &= not re.match(r"\s*!?U?[PR]", operands) and ".DIV" not in name
        ends = name.split(".")[0] in ("BRA", "EXIT", "RET", "BRX", "JMP")
        listing.append(Instruction(name, target, not (ends and always)))
    return listing


def parse_amdgcn(text: str) -> list[Instruction]:
    """Read the assembly that LLVM writes for AMD."""
    listing: list[tuple[str, str]] = []
    labels: dict[str, int] = {}
    for label, name, operands in _AMDGCN.findall(text):
        if label:
            labels[label] = len(listing)
        else:
            listing.append((name, operands.strip()))
    return [
        Instruction(
            name,
            labels.get(operands) if "branch" in name else None,
            name not in ("s_branch", "s_endpgm", "s_setpc_b64"),
        )
        for name, operands in listing
    ]


def hot_loop(listing: list[Instruction]) -> list[Instruction]:
    """Return one trip of the loop that does the kernel's work; without a loop, all instructions that can be reached.

    It is the innermost one with matrix instructions, or else the one with the most multiplications and additions, or
    else bytes moved. Matrix instructions that a branch skips are in it: on sm100 one warp issues those for all.
    """
    blocks, edges = _blocks(listing)
    loops = _loops(edges)
    if not loops:
        return [listing[i] for block in edges for i in blocks[block]]
    trips = {header: _trip(header, loops, blocks, edges, listing) for header in loops}
    work = {header: count(trip) for header, trip in trips.items()}
    multiplying = {header for header in loops if work[header]["matrix"]}
    innermost = {header for header in multiplying if not (loops[header] - {header}) & multiplying}
    order = ("matrix", "multiply_adds", "bytes", "slots")
    return trips[max(innermost or loops, key=lambda header: [work[header][name] for name in order])]


def count(instructions: Iterable[Instruction]) -> Counter[str]:
    """Issue slots, instructions by class, "accesses" to global memory, and "bytes read" and "written" by a thread.

    "bits" is the width of the narrowest access.
    """
    counts: Counter[str] = Counter()
    for instruction in instructions:
        kind = instruction.kind
        if not kind:
            continue
        counts["slots"] += 1
        counts[kind] += 1
        if kind in _MOVES:
            counts["accesses"] += 1
            counts["bytes"] += instruction.bits // 8
            counts["bytes written" if kind == "stores" else "bytes read"] += instruction.bits // 8
            counts["bits"] = min(counts["bits"] or instruction.bits, instruction.bits)
    return counts


def _blocks(listing: list[Instruction]) -> tuple[dict[int, range], dict[int, list[int]]]:
    """Runs of instructions between jumps, by the first one's index, and the blocks that may follow each."""
    starts = {0} | {i.target for i in listing if i.target is not None}
    starts |= {at + 1 for at, i in enumerate(listing) if i.target is not None or not i.falls_through}
    ordered = sorted(start for start in starts if start < len(listing))
    blocks = {a: range(a, b) for a, b in zip(ordered, [*ordered[1:], len(listing)], strict=True)}
    edges: dict[int, list[int]] = {}
    waiting = [0]
    while waiting:  # what nothing leads to, such as the endless loop after a kernel's end, is no part of it
        start = waiting.pop()
        if start in edges:
            continue
        last = listing[blocks[start][-1]]
        after = [blocks[start].stop] if last.falls_through else []
        edges[start] = [b for b in {*after, last.target} if b in blocks]
        waiting += edges[start]
    return {start: blocks[start] for start in sorted(edges)}, {start: edges[start] for start in sorted(edges)}


def _loops(edges: dict[int, list[int]]) -> dict[int, set[int]]:
    """Natural loops by their header: the blocks that reach an edge back to it, where it is before each of them."""
    before: dict[int, list[int]] = {block: [] for block in edges}
    for block, following in edges.items():
        for other in following:
            before[other].append(block)
    dominators = {block: set(edges) for block in edges} | {0: {0}}
    changed = True
    while changed:
        changed = False
        for block in edges:
            if (
                block
                and (new := {block} | set.intersection(*(dominators[b] for b in before[block]))) != dominators[block]
            ):
                dominators[block], changed = new, True
    loops: dict[int, set[int]] = {}
    for latch, following in edges.items():
        for header in dominators[latch].intersection(following):
            body, waiting = loops.setdefault(header, {header}), [latch]
            while waiting:
                if (block := waiting.pop()) not in body:
                    body.add(block)
                    waiting += before[block]
    return loops


def _trip(
    header: int,
    loops: dict[int, set[int]],
    blocks: dict[int, range],
    edges: dict[int, list[int]],
    listing: list[Instruction],
) -> list[Instruction]:
    """The cheapest way from a loop's header back to it, the loops inside it left out."""
    body = loops[header]
    inside = set().union(*(other for at, other in loops.items() if at != header and at in body))
    own = {b: [] if b in inside else [listing[i] for i in blocks[b]] for b in body}
    cost = {b: sum(i.kind != "" for i in instructions) for b, instructions in own.items()}
    waiting: list[tuple[int, list[int]]] = [(cost[header], [header])]
    settled: set[int] = set()
    while True:
        slots, path = heapq.heappop(waiting)
        if path[-1] == header and len(path) > 1:
            break
        if path[-1] in settled:
            continue
        settled.add(path[-1])
        for following in edges[path[-1]]:
            if following == header:
                heapq.heappush(waiting, (slots, [*path, header]))
            elif following in body and following not in settled:
                heapq.heappush(waiting, (slots + cost[following], [*path, following]))
    skipped = sorted(body - set(path))
    return [i for b in path[:-1] for i in own[b]] + [i for b in skipped for i in own[b] if i.kind == "matrix"]
