"""A column of a whole data set: from its table where it has one, else row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute
from datasets import Dataset
from torch.utils.data import IterableDataset
from tqdm.auto import tqdm
from transformers.trainer_utils import has_length


def row_lengths(rows: Any, *, show_progress: bool = False) -> npt.NDArray[np.int64] | None:
    """Return the number of input_ids of each row (N,), or None for a stream, or for rows without input_ids."""
    return _column(rows, "input_ids", pyarrow.compute.list_value_length, len, show_progress)


def example_ids(rows: Any, *, show_progress: bool = False) -> npt.NDArray[np.int64] | None:
    """Return the example_id of each row (N,), or None for a stream, or for rows without example_id."""
    return _column(rows, "example_id", lambda column: column, int, show_progress)


def is_stream(rows: Any) -> bool:
    """Return whether rows come one after the other only, or nobody knows how many."""
    return isinstance(rows, IterableDataset) or not has_length(rows)


def _column(
    rows: Any, name: str, of_table: Callable[[Any], Any], of_cell: Callable[[Any], int], show_progress: bool
) -> npt.NDArray[np.int64] | None:
    if is_stream(rows):
        return None
    if isinstance(rows, Dataset):
        if name not in rows.column_names:
            return None
        found = of_table(rows.select_columns(name).with_format("arrow")[:][name]).to_numpy()
        return np.asarray(found, dtype=np.int64)
    numbers = []
    # By number, as data sets of torch need not say where they end.
    for index in tqdm(range(len(rows)), desc="Reading rows", unit="row", delay=1, disable=not show_progress):
        row = rows[index]
        if name not in row:
            return None
        numbers.append(of_cell(row[name]))
    return np.array(numbers, dtype=np.int64)
