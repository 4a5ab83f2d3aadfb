"""The numbers that name rows in their random draws: check that they do, and give new ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from datasets import Dataset, IterableDataset

from lift.data.row_columns import example_ids
from lift.errors import LiftError

# Of rows of prepare_dataset, of pack_dataset, and of labelled rows.
_CONTENT = ("input_ids", "prompt_length", "labels", "segment_lengths", "segment_prompt_lengths", "response_spans")
_PAIRS_AT_ONCE = 10_000  # bounds the memory of the comparison


def number_rows(rows: Any) -> Any:
    """Return the rows of joined data sets with new numbers, from 0 in their order, in the column `example_id`.

    Each prepared data set counts from 0. Of several that were joined, rows share numbers, and with these their times,
    masks and scores.

    Args:
        rows: a `datasets.Dataset` or `IterableDataset`, or rows: a list, or a data set of torch.

    Returns: The same kind of the first two, else a list of dictionaries.
    """
    if isinstance(rows, Dataset):
        others = rows.remove_columns("example_id") if "example_id" in rows.column_names else rows
        return others.add_column("example_id", np.arange(len(rows)))
    if isinstance(rows, IterableDataset):
        return rows.map(lambda _, index: {"example_id": index}, with_indices=True)
    return [{**rows[index], "example_id": index} for index in range(len(rows))]


def check_example_ids(rows: Any, name: str, *, show_progress: bool = False) -> None:
    """Raise LiftError if two rows of the data set `name` differ and have the same example_id.

    A stream, and rows without example_id, are not looked at.
    """
    ids = example_ids(rows, show_progress=show_progress)
    if ids is None:
        return
    order = np.argsort(ids, kind="stable")
    first = np.flatnonzero(ids[order][1:] == ids[order][:-1])  # each of a pair that shares its number
    for start in range(0, len(first), _PAIRS_AT_ONCE):
        pairs = first[start : start + _PAIRS_AT_ONCE]
        if (differs := _first_difference(rows, order[pairs], order[pairs + 1])) is not None:
            raise LiftError(
                f"{name} has rows that differ and share the example_id {ids[order[pairs[differs]]]}, and would share "
                "their times, masks and scores: number joined data sets anew with lift.data.number_rows(rows)."
            )


def _first_difference(rows: Any, left: Any, right: Any) -> int | None:
    """The first place at which the rows of two lists of indices differ."""
    if isinstance(rows, Dataset):
        columns = rows.select_columns([name for name in _CONTENT if name in rows.column_names]).with_format("arrow")
        if columns.select(left)[:].equals(columns.select(right)[:]):
            return None
    pairs = zip(left.tolist(), right.tolist(), strict=True)
    return next((at for at, (i, j) in enumerate(pairs) if _content(rows[i]) != _content(rows[j])), None)


def _content(row: Mapping[str, Any]) -> list[Any]:
    return [np.asarray(row[name]).tolist() for name in _CONTENT if name in row]
