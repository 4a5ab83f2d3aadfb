"""Pad the rows of a whole optimiser step, or of a whole evaluation set, to one width where padding is trained.

Trained pads are masked, counted and attended to. Were each micro-batch padded to its own longest row, what a row trains
would depend on the rows beside it: on how the step is split into micro-batches and processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from lift.data.collated_batch import CollatedBatch


def pad_to_longest(batches: Sequence[CollatedBatch], max_over_processes: Callable[[int], int]) -> None:
    """Give all micro-batches of a step, placed by `place_in_step`, the width of its longest row over all processes.

    Only where their collator gave them `padding`, which it does on every process or on none.
    """
    if "padding" in batches[0]:
        longest = max_over_processes(longest_row(batches))
        for batch in batches:
            pad_to_width(batch, longest)


def longest_row(batches: Sequence[CollatedBatch]) -> int:
    """Return the tokens of the longest row, without the rows that `place_in_step` found to be repeated."""
    longest = 0
    for batch in batches:
        width = batch["input_ids"].shape[1]
        lengths = batch.get("lengths", (width,) * len(batch["input_ids"]))
        num_rows = batch["num_step_rows"]
        own = [n for n, place in zip(lengths, batch["position"].tolist(), strict=True) if place < num_rows]
        longest = max([longest, *own])
    return longest


def pad_to_width(batch: CollatedBatch, length: int) -> None:
    """Give `batch`, placed by `place_in_step`, the width that rows of at most `length` tokens need.

    Its new columns are padding like the collator's. Repeated rows, which train nothing, are cut where they are longer.
    """
    padding = batch["padding"]
    width = -(-length // padding.multiple) * padding.multiple
    missing = (0, width - batch["input_ids"].shape[1])
    if missing == (0, 0):
        return
    is_own: Tensor = batch["position"] < batch["num_step_rows"]
    maskable = pad(batch["maskable"], missing, value=padding.is_maskable)
    ids = batch["input_ids"]
    lengths = torch.tensor(batch.get("lengths", (ids.shape[1],) * len(ids)))
    more = padding.ids(lengths, torch.arange(width)[ids.shape[1] :]).to(ids.device)
    batch["input_ids"] = torch.cat([ids[:, :width], more], 1)
    batch["maskable"] = maskable & is_own.to(maskable.device)[:, None]
    if "attention_mask" in batch:
        batch["attention_mask"] = pad(batch["attention_mask"], missing, value=padding.attention)
