"""Refuse rows that are longer than the model has positions, before the first step meets one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow.compute
from datasets import Dataset

from lift.data import is_packed
from lift.models.positions import check_length, warn_beyond_training
from lift.training.data_checks import data_sets
from lift_kernels.models import positions_of


def check_rows_fit(model: Any, args: Any, train_dataset: Any, eval_dataset: Any) -> None:
    """Compare the rows that training and evaluation will see, padding included, with the positions of the model.

    Positions of packed rows start anew with each example, so there its examples count. Rows that cannot be measured
    without making them all, such as those of a stream, are looked at when they come (`attention_arguments`).

    Args:
        model: wrapped or not.
        args: training arguments; of another trainer's, only those of `BatchOptions` that they have.
        train_dataset, eval_dataset: as the trainer takes them; several evaluation sets as a mapping.

    Raises:
        LiftError: one is longer; the sentence names it and the remedy.
    """
    positions, widths = positions_of(model), [0]
    for name, rows in data_sets(train_dataset, eval_dataset):
        length = longest_row(rows)
        if length is None:
            continue
        check_length(
            positions, length, f"the longest row of {name} has",
            "set max_length to at most {limit}, or train a model with more positions",
        )  # fmt: skip
        widths.append(length if is_packed(rows) else padded_width(length, args))
        check_length(
            positions, widths[-1], f"rows of {name} are padded to",
            "set max_length to at most {limit} where pad_to=max_length, or choose a smaller pad_to_multiple_of",
        )  # fmt: skip
    warn_beyond_training(model, max(widths))


def longest_row(rows: Any) -> int | None:
    """Return the tokens of the longest row or packed example, 0 without any; None where that is not known at once."""
    if isinstance(rows, Dataset):
        column = next((name for name in ("segment_lengths", "input_ids") if name in rows.column_names), None)
        if column is None:
            return None
        chunks = rows.select_columns(column).with_format("arrow").iter(batch_size=10_000)
        return max((_longest(chunk[column], column) for chunk in chunks), default=0)
    if isinstance(rows, Sequence) and all(isinstance(row, Mapping) and "input_ids" in row for row in rows):
        lengths = (max(row["segment_lengths"]) if is_packed(rows) else len(row["input_ids"]) for row in rows)
        return max(lengths, default=0)
    return None


def _longest(cells: Any, column: str) -> int:
    values = cells.combine_chunks()
    lengths = values.flatten() if column == "segment_lengths" else pyarrow.compute.list_value_length(values)
    return pyarrow.compute.max(lengths).as_py() or 0


def padded_width(length: int, args: Any) -> int:
    """Return the width of a batch with a row of `length` tokens: as `MaskedDiffusionCollator` pads it."""
    if getattr(args, "pad_to", "longest") == "max_length":
        length = max(length, args.max_length)
    step = math.lcm(getattr(args, "pad_to_multiple_of", None) or 1, getattr(args, "block_size", None) or 1)
    return -(-length // step) * step
