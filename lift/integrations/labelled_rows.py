"""Rows of `input_ids` and `labels`, as trainers for causal language models prepare them, to LIFT's batches."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from lift.data.collated_batch import CollatedBatch
from lift.data.collator import MaskedDiffusionCollator
from lift.errors import LiftError

ID_BITS = 63


class LabelledBatch(CollatedBatch, total=False):
    """A `CollatedBatch` that may also hold its labels."""

    labels: Tensor
    """(B, L) int64: the clean token where `maskable`, else -100."""


class LabelledRowsCollator(MaskedDiffusionCollator):
    """`MaskedDiffusionCollator` for rows whose labels, not shifted, say which tokens may be masked: those not -100.

    A row's `example_id` is the column of that name, or else `content_id` of its tokens.

    Args:
        pad_token_id, kwargs: see `MaskedDiffusionCollator`.
        id_bits: of `content_id`; `lift.objectives.blocks.ROW_ID_BITS` for rows that are cut into blocks.
        keep_labels: also return `labels` (B, L), the clean token where `maskable` and else -100, and always an
            `attention_mask`, for trainers that count the ones and look for the other.

    Raises (of a call): LiftError if a row has no labels, or one that is not its token.
    """

    def __init__(self, pad_token_id: int, *, keep_labels: bool = False, id_bits: int = ID_BITS, **kwargs: Any) -> None:
        super().__init__(pad_token_id, **kwargs)
        self.keep_labels, self.id_bits = keep_labels, id_bits

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> LabelledBatch:
        # With the whole row as prompt, what may be masked beyond it is padding alone.
        prompts = [
            {
                "input_ids": row["input_ids"],
                "prompt_length": len(row["input_ids"]),
                "example_id": row["example_id"] if "example_id" in row else content_id(row["input_ids"], self.id_bits),
            }
            for row in rows
        ]
        batch = cast(LabelledBatch, super().__call__(prompts))
        for input_ids, maskable, row in zip(batch["input_ids"], batch["maskable"], rows, strict=True):
            if "labels" not in row:
                raise LiftError("a row of the batch lacks labels, which say what may be masked: -100 where nothing is.")
            labels = torch.as_tensor(row["labels"])
            length = len(labels)
            maskable[:length] = labels != -100
            if length != len(row["input_ids"]) or not torch.equal(
                labels[maskable[:length]], input_ids[:length][maskable[:length]]
            ):
                raise LiftError("labels must be the row's own input_ids, or -100, not shifted and not corrupted.")
        if self.predicts_next:
            batch["maskable"][:, 0] = False
        if self.keep_labels:
            batch["labels"] = batch["input_ids"].where(batch["maskable"], -100)
            batch.setdefault("attention_mask", torch.ones_like(batch["input_ids"]))
        return batch


def content_id(input_ids: Sequence[int], num_bits: int = ID_BITS) -> int:
    """A number in [0, 2^num_bits) for a row of token ids, the same on every machine: equal rows share their noise.

    With 32 bits a pair of different rows shares it too once in four thousand million pairs, which does no harm.
    """
    tokens = array("q", torch.as_tensor(input_ids).tolist()).tobytes()
    return int.from_bytes(hashlib.blake2b(tokens, digest_size=8).digest(), "little") >> (64 - num_bits)
