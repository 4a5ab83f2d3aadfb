"""Refuse data sets and batches that a trainer cannot take, in the place of what would fail inside of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow.compute
import torch
from datasets import Dataset
from transformers.trainer_utils import has_length

from lift.data.collator import missing_columns
from lift.data.response_spans import COLUMN
from lift.errors import LiftError

logger = logging.getLogger(__name__)


def data_sets(train_dataset: Any, eval_dataset: Any) -> Iterator[tuple[str, Any]]:
    """Yield each data set of a trainer, with what it is called in a sentence."""
    yield "train_dataset", train_dataset
    if isinstance(eval_dataset, Mapping):
        yield from ((f"eval_dataset[{name!r}]", rows) for name, rows in eval_dataset.items())
    else:
        yield "eval_dataset", eval_dataset


def check_rows(name: str, rows: Any) -> None:
    """Check that `rows` are a data set with rows in it; None, and one without a length, are fine.

    Raises:
        LiftError: it is a name, several splits, or empty; the sentence calls it `name`.
    """
    if isinstance(rows, (str, bytes)):
        raise LiftError(f"{name} must be rows, got the name {rows!r}: read it with lift.load_rows and prepare_dataset.")
    if isinstance(rows, Mapping):
        first = next(iter(rows), "train")
        raise LiftError(
            f"{name} is several data sets ({', '.join(map(str, rows))}): pass one of them, such as data[{first!r}]."
        )
    if rows is not None and has_length(rows) and len(rows) == 0:
        raise LiftError(f"{name} has no rows: look for what filtered them out, or leave {name} out.")


def check_columns(name: str, rows: Any) -> None:
    """Check that the first row has what `MaskedDiffusionCollator` needs, where rows can be had by number.

    Raises:
        LiftError: it has not; the sentence names what is missing.
    """
    if rows is None or not has_length(rows):
        return
    by_number: Any = rows
    try:
        row = by_number[0]
    except (KeyError, TypeError):
        row = None
    if not isinstance(row, Mapping):
        raise LiftError(
            f"{name} must give a mapping for each number of a row, as a data set of prepare_dataset or a list of dicts "
            f"does, got {kind_of(rows)}."
        )
    if missing := missing_columns(row):
        raise LiftError(
            f"the rows of {name} lack {', '.join(missing)} (they have {', '.join(map(str, row))}): build it with "
            "lift.prepare_dataset, or bring a data_collator of your own."
        )


def check_responses(name: str, rows: Any) -> None:
    """Check that no prompt is longer than its row, and warn of rows that are all prompt, where all can be had at once.

    Raises:
        LiftError: one is; the sentence names the row.
    """
    empty = []
    for number, (length, prompt_length) in enumerate(_lengths(rows)):
        if prompt_length > length:
            raise LiftError(
                f"row {number} (counted from 0) of {name} has {length} tokens and prompt_length={prompt_length}, which "
                "is more: count the prompt in tokens, and cut it with its row."
            )
        if prompt_length == length:
            empty.append(number)
    if empty:
        logger.warning(
            "%d of %d rows of %s are all prompt, row %d (counted from 0) first: no token of their own is trained; "
            "remove them, or cut them behind more of their response", len(empty), len(rows), name, empty[0],
        )  # fmt: skip


def _lengths(rows: Any) -> Iterator[tuple[int, int]]:
    """Yield how many tokens each row and its prompt have; nothing of packed rows and those with several responses."""
    if isinstance(rows, Dataset):
        if COLUMN in rows.column_names or not {"input_ids", "prompt_length"} <= set(rows.column_names):
            return
        for chunk in rows.select_columns(["input_ids", "prompt_length"]).with_format("arrow").iter(batch_size=10_000):
            lengths = pyarrow.compute.list_value_length(chunk["input_ids"])
            yield from zip(lengths.to_pylist(), chunk["prompt_length"].to_pylist(), strict=True)
    elif isinstance(rows, Sequence):
        for row in rows:
            if isinstance(row, Mapping) and {"input_ids", "prompt_length"} <= set(row) and COLUMN not in row:
                yield len(row["input_ids"]), int(row["prompt_length"])


def check_batch(batch: Any) -> None:
    """Check what a collator gave, by names, shapes and types alone.

    Raises:
        LiftError: it is no batch of clean rows; the sentence names what is missing.
    """
    remedy = (
        "leave data_collator out, or derive it from lift.MaskedDiffusionCollator, as LiftTrainer draws the noise "
        "itself and needs clean rows"
    )
    if not isinstance(batch, Mapping):
        raise LiftError(f"data_collator must give a mapping, got {kind_of(batch)}: {remedy}.")
    missing = [name for name in ("input_ids", "maskable", "example_id") if name not in batch]
    if missing:
        raise LiftError(
            f"the batch of data_collator lacks {', '.join(missing)} (it has {', '.join(map(str, batch))}): {remedy}."
        )
    input_ids, maskable, example_id = batch["input_ids"], batch["maskable"], batch["example_id"]
    if maskable.dtype != torch.bool or maskable.shape != input_ids.shape or example_id.shape != input_ids.shape[:1]:
        raise LiftError(
            "data_collator must give input_ids (B, L), maskable (B, L) of torch.bool and example_id (B,), got "
            f"{tuple(input_ids.shape)}, {tuple(maskable.shape)} of {maskable.dtype} and {tuple(example_id.shape)}."
        )


def kind_of(value: Any) -> str:
    """Return what `value` is, in words."""
    return f"the class {value.__name__}" if isinstance(value, type) else f"{type(value).__name__}"
