"""What a batch holds on its way from the collator to the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import Tensor

from lift.objectives.blocks import Blocks
from lift.objectives.micro_batch import Draws, MicroBatch


@dataclass(frozen=True)  # no named tuple: loaders unpack those
class Padding:
    """How a collator fills the rows of a batch that are shorter than its longest."""

    token_id: int

    more_ids: tuple[int, ...] = ()
    """What follows `token_id`, in turn and over again: padding that says how far the end of the row is."""

    multiple: int = 1
    """Of which every width is one."""

    is_maskable: bool = True

    attention: int = 1
    """What an attention mask says of it, where there is one."""

    def ids(self, lengths: Tensor, columns: Tensor) -> Tensor:
        """Return the padding (B, C) int64 of rows of `lengths` (B,) tokens at `columns` (C,), those behind their end.

        Source: rainbow padding (arXiv 2510.03680).
        """
        ids = torch.tensor((self.token_id, *self.more_ids))
        return ids[(columns - lengths[:, None]) % len(ids)]


class CollatedBatch(TypedDict, total=False):
    """One micro-batch of clean rows. `input_ids`, `maskable` and `example_id` are always there."""

    input_ids: Tensor
    """(B, L) int64, without mask tokens of ours."""

    maskable: Tensor
    """(B, L) bool: where noise may fall."""

    example_id: Tensor
    """(B,) int64: what names a row in its random draws."""

    host_example_id: tuple[int, ...]
    """The same on the host, as a tuple, which no loader moves to a device."""

    lengths: tuple[int, ...]
    """Tokens of each row before its padding, on the host; only of rows that are padded on the right."""

    padding: Padding
    """Only where the width is that of the longest row and matters to what all rows train: the trainer then pads on."""

    attention_mask: Tensor
    """(B, L) int64, 1 on real tokens, where padding is not trained; of packed rows (B, 1, L, L) bool."""

    position_ids: Tensor
    """(B, L) int64 of packed rows: they start at 0 with each example."""

    position: Tensor
    """(B,) int64: each row's place in the optimiser step, over all micro-batches and processes. The trainer adds it."""

    micro_batch: int
    """The number of the micro-batch in the step of this process. The trainer adds it."""

    num_step_rows: int
    """Rows of the whole step. The trainer adds it."""

    draws: Draws
    """Time, over-mask rate and mode of each row, on the host. The trainer adds them."""

    is_masked: Tensor
    """(B, L) bool: what is masked, where a pool says it. The trainer adds it."""

    blocks: Blocks
    """Where the blocks of its rows lie, on the host, where each is a sample of its own. The trainer adds it."""

    rows: MicroBatch
    """All of this for a method that had to see the whole step. The trainer adds it."""


def host_example_id(inputs: CollatedBatch) -> Tensor:
    """Return the example ids (B,) on the host; a batch that has them on a device alone costs one small copy."""
    host = inputs.get("host_example_id")
    return inputs["example_id"].cpu() if host is None else torch.tensor(host)
