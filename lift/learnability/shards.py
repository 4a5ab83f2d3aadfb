"""The score cache on disk: one safetensors file for each process, and how many become one.

A shard holds, for N examples of up to L tokens:

    value   (N, L) float32   the moving average of the gold log-probability in nats, nan where unseen
    is_own  (N, L) bool      this process has updated the value since the run began or last changed its processes
    totals  (2, 2) float64   sum and number of all log-probabilities seen: inherited, then this process's own

All shards of one save inherited the same values, so what no process owns is alike in all of them.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from lift.atomic_write import atomic_write
from lift.errors import LiftError

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Totals = npt.NDArray[np.float64]

_NAME = re.compile(r"score_cache-(\d+)-of-(\d+)\.safetensors")
_DTYPES = {np.dtype(np.float32): "F32", np.dtype(np.bool_): "BOOL", np.dtype(np.float64): "F64"}
_BLOCK = 1 << 20  # positions merged at once: bounds the memory of a merge, whatever the size of the shards


def write_shard(folder: Path, rank: int, num_processes: int, value: Floats, is_own: Bools, totals: Totals) -> None:
    """Write one process's shard whole or not at all, straight from its arrays.

    (`safetensors.numpy.save` would hold two more copies of a cache that may be larger than the memory.)
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {"value": value, "is_own": is_own, "totals": totals}
    header: dict[str, Any] = {}
    end = 0
    for name, array in arrays.items():
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": _DTYPES[array.dtype], "shape": array.shape, "data_offsets": (begin, end)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with atomic_write(folder / f"score_cache-{rank:05d}-of-{num_processes:05d}.safetensors") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            file.write(array.data)


def find_shards(folder: Path) -> list[Path]:
    """Return the shards of the save in `folder`, by rank; LiftError unless there is exactly one, and complete."""
    found = {tuple(map(int, m.groups())): folder / m[0] for p in folder.glob("*") if (m := _NAME.fullmatch(p.name))}
    sizes = sorted({size for _, size in found})
    if not sizes:
        raise LiftError(f"there is no score cache in {folder}: resume from a checkpoint that has one.")
    if len(sizes) > 1:
        raise LiftError(
            f"{folder} has score caches of runs with {' and '.join(map(str, sizes))} processes: delete those of the "
            "earlier run."
        )
    (size,) = sizes
    missing = [f"{rank} of {size}" for rank in range(size) if (rank, size) not in found]
    if missing:
        raise LiftError(
            f"the score cache in {folder} lacks the part of process {missing[0]} (counted from 0): every process must "
            "see this folder and have finished saving."
        )
    return [found[rank, size] for rank in range(size)]


def read_totals(paths: Sequence[Path], shape: tuple[int, int]) -> list[Totals]:
    """Return the totals of each shard; LiftError if one is damaged, of another shape, or from another run."""
    totals = []
    for path in paths:
        try:
            with safe_open(path, "numpy") as shard:
                saved = tuple(shard.get_slice("value").get_shape())
                totals.append(shard.get_tensor("totals"))
        except SafetensorError as error:
            raise LiftError(f"{path} is damaged ({error}): resume from another checkpoint.") from None
        if saved != shape:
            raise LiftError(
                f"{path} is a score cache of {saved[0]} examples of up to {saved[1]} tokens, this run has {shape[0]} "
                f"of up to {shape[1]}: resume with the data and the lengths that the run began with."
            )
        if not np.array_equal(totals[0][0], totals[-1][0]):
            raise LiftError(f"{paths[0]} and {path} come from different runs: resume from another checkpoint.")
    return totals


def read_rows(paths: Sequence[Path], shape: tuple[int, int]) -> Iterator[tuple[slice, list[Floats], list[Bools]]]:
    """Yield all rows in order, block by block, as (rows, value of each shard, is_own of each shard)."""
    step = max(_BLOCK // shape[1], 1)
    with ExitStack() as stack:
        shards = [stack.enter_context(safe_open(path, "numpy")) for path in paths]
        for begin in range(0, shape[0], step):
            rows = slice(begin, min(begin + step, shape[0]))
            value, is_own = ([shard.get_slice(name)[rows] for shard in shards] for name in ("value", "is_own"))
            yield rows, value, is_own


def merge(value: Sequence[Floats], is_own: Sequence[Bools]) -> Floats:
    """Return one value for each position: the mean of those who own it, else what all inherited, else nan.

    An owner's value contains what was inherited, so a stale copy elsewhere must not dilute it. Sums are in float64
    and in the order of the ranks: the result is the same on every process, and exact where there is one owner.
    """
    total = np.zeros(value[0].shape)
    num_owners = np.zeros(value[0].shape, dtype=np.int64)
    for shard, owned in zip(value, is_own, strict=True):
        total += np.where(owned, shard, 0)
        num_owners += owned
    return np.where(num_owners > 0, total / np.maximum(num_owners, 1), value[0]).astype(np.float32)
