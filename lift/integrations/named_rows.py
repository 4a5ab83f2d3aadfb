"""The batches of another library's collator, with the names of their rows and how they were padded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from lift.data.collated_batch import Padding
from lift.errors import LiftError
from lift.integrations.labelled_rows import ID_BITS, content_id


class NamedRows:
    """Another collator, whose batches also name their rows and say how long these are: on the host, with the tokens.

    Args:
        collate: the collator.
        padding: how it pads, where that matters to what other rows train.
        id_bits: of the names.
    """

    def __init__(self, collate: Callable[[Any], Any]) -> None:
        self.collate = collate
        self.padding: Padding | None = None
        self.id_bits = ID_BITS

    def __call__(self, rows: Any) -> dict[str, Any]:
        names = tuple(content_id(row["input_ids"], self.id_bits) for row in rows)
        rows = [dict(row) for row in rows]  # a collator may fill them, and the names are those of what was not filled
        batch = dict(self.collate(rows))
        is_trained = batch["labels"] != -100
        if not torch.equal(batch["input_ids"][is_trained], batch["labels"][is_trained]):
            raise LiftError("labels must be the row's own input_ids, or -100, not shifted and not corrupted.")
        batch |= {"example_id": torch.tensor(names), "host_example_id": names}
        if all(map(_starts_with, batch["input_ids"], rows)):
            batch["lengths"] = tuple(len(row["input_ids"]) for row in rows)
        if self.padding is not None:
            batch["padding"] = self.padding
        return batch


def padding_of(collate: Callable[[Any], Any], row: Mapping[str, Any], block_size: int) -> Padding | None:
    """How a collator pads on the right to the longest row: seen on a row beside a longer copy of itself.

    None if it pads otherwise, or neither trains nor attends to padding, whose number then changes nothing.
    """
    length = len(row["input_ids"])
    # To an odd number that is no whole number of blocks, so that a multiple shows.
    num_more = next(n for n in (1, 2, 3, 4) if (length + n) % 2 and (block_size == 1 or (length + n) % block_size))
    longer = {
        name: [*cells, *[cells[-1]] * num_more] if isinstance(cells, list) else cells for name, cells in row.items()
    }
    seen = collate([dict(row), longer])
    if seen["input_ids"].shape[1] != length + num_more or not _starts_with(seen["input_ids"][0], row):
        return None
    mask = seen.get("attention_mask")
    padding = Padding(
        int(seen["input_ids"][0, length]), is_maskable=bool(seen["labels"][0, length] != -100),
        attention=1 if mask is None else int(mask[0, length]),
    )  # fmt: skip
    return padding if padding.is_maskable or padding.attention else None


def _starts_with(input_ids: Tensor, row: Mapping[str, Any]) -> bool:
    return input_ids[: len(row["input_ids"])].tolist() == list(row["input_ids"])
