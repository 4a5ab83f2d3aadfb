"""How many columns of the logits to take at a time, so that their matrix products fill a GPU.

A product is cut into tiles, one on a multiprocessor at a time, and they come in waves: a last wave of a few tiles takes
as long as a full one. Many pieces pay for many last waves. So their width is chosen by a model of the time of all of
them, counted in entries of the product that a multiprocessor forms meanwhile. The model's constants are an H100's; only
their ratios matter, and the choice moves little with them.
"""

from __future__ import annotations

from functools import cache, lru_cache

import torch

COLUMN_MULTIPLE = 256  # the longer side of a tile, and a multiple of what the row kernel reads as vectors
# The tile that cuBLAS reaches its best rate with on every architecture since the A100, either way round.
_TILE = (128, 256)
_CANDIDATES = 32  # so that choosing takes 0.1 ms of a CPU
# Operations of one multiprocessor (6.2 T/s) during the launches of a piece (7 us), and while the row kernel takes one
# of its blocks of columns for one row (0.9 ns: 1200 cycles for 6 rows on each of 132 multiprocessors). A block that is
# partly filled takes as long as a full one.
_PIECE_OPERATIONS = 43e6
_ROW_BLOCK_OPERATIONS, _ROW_BLOCK = 5.5e3, 2048


@cache
def num_multiprocessors(device: torch.device) -> int:
    """Return how many tiles `device` works on at a time; an H100's number where there is no GPU."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 132


@lru_cache(maxsize=4096)
def best_columns(num_rows: int, width: int, num_columns: int, most: int, num_processors: int) -> int:
    """Return the columns of a piece, `most` at most, with which all pieces of (num_rows, num_columns) are done soonest.

    `width` is the length of the sums. The answer is `num_columns` where one piece holds them, else a multiple of 256
    where there is room for one.
    """
    if most >= num_columns:
        return num_columns
    if most < COLUMN_MULTIPLE:
        return max(most, 1)
    largest = most // COLUMN_MULTIPLE
    # Pieces of less than a third of the most are never the soonest: their launches are too many.
    step = -(-largest // _CANDIDATES)
    candidates = (n * COLUMN_MULTIPLE for n in range(largest, largest // 3, -step))
    return min(candidates, key=lambda columns: _time(num_rows, width, num_columns, columns, num_processors))


def _time(num_rows: int, width: int, num_columns: int, columns: int, num_processors: int) -> float:
    count, rest = divmod(num_columns, columns)
    time = count * _piece_time(num_rows, width, columns, num_processors)
    return time + (_piece_time(num_rows, width, rest, num_processors) if rest else 0.0)


def _piece_time(num_rows: int, width: int, columns: int, num_processors: int) -> float:
    """Entries of the product that a multiprocessor would form during the product and its row kernel."""
    beside = _PIECE_OPERATIONS + _ROW_BLOCK_OPERATIONS * num_rows * -(-columns // _ROW_BLOCK)
    return wave_entries(num_rows, columns, num_processors) + beside / (2 * max(width, 1))


def wave_entries(num_rows: int, num_columns: int, num_processors: int) -> int:
    """Return the entries of (num_rows, num_columns) that the busiest multiprocessor forms, empty ones included."""
    short, long = _TILE
    upright = -(-num_rows // short) * -(-num_columns // long)
    lying = -(-num_rows // long) * -(-num_columns // short)
    return -(-min(upright, lying) // num_processors) * short * long
