"""Pack several short examples into one row, so that a batch holds few pads."""

from __future__ import annotations

import logging
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow
from datasets import Dataset
from tqdm.auto import tqdm

from lift.data.response_spans import COLUMN
from lift.data.row_table import rows_to_dataset
from lift.errors import LiftError

logger = logging.getLogger(__name__)

_COLUMNS = ("input_ids", "prompt_length", "example_id")


def pack_dataset(
    rows: Dataset | Sequence[Mapping[str, Any]], *, max_length: int, show_progress: bool = True
) -> Dataset:
    """Pack the rows of `prepare_dataset` into rows of at most `max_length` tokens, by best-fit decreasing.

    No example is cut. The packing depends on the lengths alone, so every process and every resumed run has the same.
    `MaskedDiffusionCollator` keeps the examples of a row apart: positions start anew with each, and none attends to
    another. For LIFT a packed row is one row: its examples share one time t, one over-mask rate rho and one mode.

    Args:
        rows: with the columns input_ids, prompt_length and example_id.
        max_length: tokens of a packed row, at least those of the longest example.
        show_progress: show a bar where it takes longer than a second.

    Returns: A Dataset with the columns `input_ids`; `segment_lengths`, `segment_prompt_lengths` and
        `segment_example_ids`, lists with one number for each example of the row, in its order; `example_id`, that of
        the row's first example, which names the row in every random draw; and `response_spans`, in tokens of the row,
        where the rows have such.

    Raises: LiftError if a column is missing, or an example is longer than `max_length`.

    Source: best-fit decreasing, D. S. Johnson, "Near-optimal bin packing algorithms", MIT (1973).
    """
    dataset = rows if isinstance(rows, Dataset) else rows_to_dataset(rows)
    missing = [column for column in _COLUMNS if column not in dataset.column_names]
    if missing:
        raise LiftError(
            f"packing needs rows of prepare_dataset; these lack {', '.join(missing)} (they have "
            f"{', '.join(dataset.column_names)})."
        )
    table = dataset.with_format("arrow")[:]
    lengths = table["input_ids"].combine_chunks().value_lengths().to_numpy()
    example_ids = table["example_id"].to_numpy()
    if len(lengths) and lengths.max() > max_length:
        raise LiftError(
            f"example {example_ids[lengths.argmax()]} has {lengths.max()} tokens, more than max_length={max_length} of "
            "packing: prepare the data set with the same max_length."
        )
    packed = best_fit_decreasing(lengths.tolist(), max_length, show_progress=show_progress)
    order = [index for members in packed for index in members]
    starts = np.cumsum([0, *map(len, packed)])  # of each packed row, in `order`

    def lists(values: Any) -> pyarrow.ListArray:
        return pyarrow.ListArray.from_arrays(starts.astype(np.int32), pyarrow.array(values[order], pyarrow.int64()))

    token_starts = np.concatenate([[0], np.cumsum(lengths[order])])[starts]
    tokens = table["input_ids"].take(order).combine_chunks().flatten()
    logger.info(
        "%d examples were packed into %d rows of at most %d tokens, %.0f %% full",
        len(order), len(packed), max_length, 100 * len(tokens) / (max_length * max(len(packed), 1)),
    )  # fmt: skip
    columns = {COLUMN: _packed_spans(table, lengths, packed)} if COLUMN in table.column_names else {}
    return Dataset(
        pyarrow.table(
            {
                "input_ids": pyarrow.ListArray.from_arrays(token_starts.astype(np.int32), tokens),
                "example_id": example_ids[[members[0] for members in packed]],
                "segment_lengths": lists(lengths),
                "segment_prompt_lengths": lists(table["prompt_length"].to_numpy()),
                "segment_example_ids": lists(example_ids),
                **columns,
            }
        )
    )


def _packed_spans(table: Any, lengths: Any, packed: list[list[int]]) -> list[list[int]]:
    """Return the spans of each packed row in its own tokens."""
    ends = zip(table["prompt_length"].to_pylist(), lengths.tolist(), strict=True)
    # A row of another data set, which was joined, has one response.
    of_example = [spans or one for spans, one in zip(table[COLUMN].to_pylist(), ends, strict=True)]
    found = []
    for members in packed:
        starts = np.cumsum([0, *lengths[members]]).tolist()
        found.append(
            [start + edge for start, index in zip(starts, members, strict=False) for edge in of_example[index]]
        )
    return found


def best_fit_decreasing(lengths: Sequence[int], width: int, *, show_progress: bool = False) -> list[list[int]]:
    """Return the indices of `lengths` in rows whose lengths add up to at most `width`.

    The longest first, each goes into the row with the least room that still has enough; ties go to the earlier.
    """
    packed: list[list[int]] = []
    with_room: dict[int, deque[int]] = {}  # tokens left -> the rows that have just these
    rooms: list[int] = []  # the keys of with_room, ascending
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    for index in tqdm(order, desc="Packing", unit="row", delay=1, disable=not show_progress):
        at = bisect_left(rooms, lengths[index])
        if at == len(rooms):
            room, row = width, len(packed)
            packed.append([])
        else:
            room = rooms[at]
            row = with_room[room].popleft()
            if not with_room[room]:
                del rooms[at], with_room[room]
        packed[row].append(index)
        room -= lengths[index]
        if room not in with_room:
            with_room[room] = deque()
            insort(rooms, room)
        with_room[room].append(row)
    return packed


def is_packed(rows: Any) -> bool:
    """Return whether a data set, or its first row, comes from `pack_dataset`."""
    columns = getattr(rows, "column_names", None)
    if columns is None:
        columns = rows[0] if isinstance(rows, Sequence) and rows else ()
    return "segment_lengths" in columns
