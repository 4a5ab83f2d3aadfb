"""Pad rows of token ids into one batch, and mark which tokens may be masked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from lift.data.collated_batch import CollatedBatch, Padding
from lift.data.response_spans import is_response, segments
from lift.errors import LiftError

_COLUMNS = ("input_ids", "prompt_length", "example_id")
_PACKED_COLUMNS = ("input_ids", "segment_lengths", "segment_prompt_lengths", "example_id")


class MaskedDiffusionCollator:
    """Pad rows of `lift.data.prepare_dataset` on the right and mark where noise may fall; draw no noise.

    A loader collates ahead of the step that uses the batch, in worker processes with random states of their
    own, none of which a checkpoint keeps. Noise drawn here would therefore change with the number of
    workers and after a resume. The trainer draws it instead, as a function of the seed, the optimiser step
    and `example_id`, all of which survive.

    Args:
        pad_token_id: Id that fills short rows.
        pad_in_loss: Padding counts as response: it may be masked, is trained, and is attended to, as in
            LLaDA's fine-tuning (Q19 in lift/objectives/README.md). False leaves it out of the loss and of
            attention; rows of `pack_dataset` need that.
        max_length: Pad every batch to this many tokens; by default to its longest row.
        pad_to_multiple_of: Round the length up to a multiple of this, also above `max_length`.
        predicts_next: The model predicts position i from the hidden state of i - 1 (Dream): the first position of
            each example, which nothing predicts, is never masked. `keep_first` of `LiftConfig` asks for the same.
        block_size: The length is a multiple of this too, so that rows end with a whole block.
        more_pad_ids: Tokens that follow `pad_token_id` in turn, and over again, behind the end of each row.
        block_fill_id: Each row is filled with this token up to its next block, as part of its response; by default
            what completes a block is padding like the rest.

    Returns (of a call): CPU tensors `input_ids` (B, L) int64, clean; `maskable` (B, L) bool; `example_id`
        (B,) int64; `host_example_id`, the same as a tuple, which no loader moves to a device; `lengths`, a tuple
        of each row's tokens before its padding; and, with `pad_in_loss`, `padding` (unless `max_length` says the
        width), by which the trainer makes all micro-batches of a step as long, else `attention_mask` (B, L) int64,
        1 on real tokens. Rows of `pack_dataset` have `position_ids` (B, L) int64 instead, which start at 0 with each
        example, and `attention_mask` (B, 1, L, L) bool, True where both positions belong to one example, or both to
        padding: L^2 bytes a row.

    Raises: LiftError if a call gets no rows, rows without a column, a row longer than `max_length`, or packed rows
        with `pad_in_loss`.
    """

    def __init__(
        self,
        pad_token_id: int,
        *,
        pad_in_loss: bool = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        predicts_next: bool = False,
        block_size: int = 1,
        block_fill_id: int | None = None,
        more_pad_ids: Sequence[int] = (),
    ) -> None:
        sizes = {"max_length": max_length, "pad_to_multiple_of": pad_to_multiple_of, "block_size": block_size}
        for name, value in sizes.items():
            if value is not None and value < 1:
                raise LiftError(f"{name} must be at least 1, got {value}.")
        self.pad_token_id = pad_token_id
        self.pad_in_loss = pad_in_loss
        self.max_length = max_length
        self.pad_to_multiple_of = pad_to_multiple_of
        self.predicts_next = predicts_next
        self.block_size = block_size
        self.block_fill_id = block_fill_id
        self.more_pad_ids = tuple(more_pad_ids)

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> CollatedBatch:
        is_packed = self._check(rows)
        shape = (len(rows), self._padded_length(rows))
        padding = Padding(self.pad_token_id, self.more_pad_ids, self._multiple)
        lengths = tuple(self._filled_length(row) for row in rows)
        input_ids = padding.ids(torch.tensor(lengths), torch.arange(shape[1]))
        maskable = torch.zeros(shape, dtype=torch.bool)
        position_ids = torch.zeros(shape, dtype=torch.int64)
        segment = torch.full(shape, -1)  # padding is a segment of its own
        for i, row in enumerate(rows):
            input_ids[i, : len(row["input_ids"])] = torch.as_tensor(row["input_ids"])
            maskable[i, : len(row["input_ids"])] = torch.from_numpy(is_response(row))
            for number, (start, end, _) in enumerate(segments(row)):
                if self.predicts_next:
                    maskable[i, start : start + 1] = False
                position_ids[i, start:end] = torch.arange(end - start)
                segment[i, start:end] = number
            if self.block_fill_id is not None:
                filled = slice(len(row["input_ids"]), lengths[i])
                input_ids[i, filled], maskable[i, filled], segment[i, filled] = self.block_fill_id, True, 0

        example_ids = tuple(int(row["example_id"]) for row in rows)
        batch: CollatedBatch = {
            "input_ids": input_ids,
            "maskable": maskable | (segment < 0) if self.pad_in_loss else maskable,
            "example_id": torch.tensor(example_ids),
            "host_example_id": example_ids,
            "lengths": lengths,
        }
        if self.pad_in_loss and self.max_length is None:
            batch["padding"] = padding
        if is_packed:
            batch["position_ids"] = position_ids
            batch["attention_mask"] = (segment[:, :, None] == segment[:, None, :])[:, None]
        elif not self.pad_in_loss:
            batch["attention_mask"] = (segment >= 0).long()
        return batch

    def _check(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Raise for a bad batch; whether it is packed."""
        if not rows:
            raise LiftError("a batch must have at least one row, got none; check the data set and the sampler.")
        is_packed = any("segment_lengths" in row for row in rows)
        if is_packed and self.pad_in_loss:
            raise LiftError("packed rows cannot train their padding, which is no example's: set pad_in_loss=False.")
        if is_packed and self.block_fill_id is not None:
            raise LiftError("packed rows have no room for end tokens up to the next block: set block_padding=pad.")
        for row in rows:
            if missing := missing_columns(row):
                raise LiftError(
                    f"a row of the batch lacks {', '.join(missing)} (it has {', '.join(row)}); build the "
                    "data set with prepare_dataset and set remove_unused_columns=False."
                )
        return is_packed

    def _padded_length(self, rows: Sequence[Mapping[str, Any]]) -> int:
        longest = max(rows, key=lambda row: len(row["input_ids"]))
        length = len(longest["input_ids"])
        if self.max_length is not None:
            if length > self.max_length:
                raise LiftError(
                    f"example {int(longest['example_id'])} has {length} tokens, more than max_length="
                    f"{self.max_length}; prepare the data set with the same max_length."
                )
            length = self.max_length
        return -(-length // self._multiple) * self._multiple

    @property
    def _multiple(self) -> int:
        return math.lcm(self.pad_to_multiple_of or 1, self.block_size)

    def _filled_length(self, row: Mapping[str, Any]) -> int:
        length = len(row["input_ids"])
        return length if self.block_fill_id is None else -(-length // self.block_size) * self.block_size


def missing_columns(row: Mapping[str, Any]) -> list[str]:
    """Return what `row`, packed or not, lacks for `MaskedDiffusionCollator`."""
    return [name for name in (_PACKED_COLUMNS if "segment_lengths" in row else _COLUMNS) if name not in row]
