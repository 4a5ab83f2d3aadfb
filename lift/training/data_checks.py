"""Refuse data sets and batches that a trainer cannot take, in the place of what would fail inside of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from transformers.trainer_utils import has_length

from lift.data.collator import missing_columns
from lift.errors import LiftError


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
