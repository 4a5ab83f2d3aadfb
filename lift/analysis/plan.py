"""What is analysed: how often each token occurs, and which examples make which part of the table."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lift.data.response_spans import is_response
from lift.errors import LiftError

if TYPE_CHECKING:
    from datasets import Dataset

TOKENS_A_PART = 1 << 17
"""Tokens of responses times ratios: bounds the memory of a part, about 50 bytes each."""


@dataclass(frozen=True)
class Plan:
    """A data set, counted; a function of its rows and of the number of ratios alone."""

    parts: list[range]
    """The rows of each part, without gaps."""

    frequency: NDArray[np.int64]
    """(V,) how often each token occurs in the responses."""

    is_used: NDArray[np.bool_]
    """(V,) whether it occurs in prompts or responses."""

    digest: str
    """A name of the rows: equal where all ids and all responses are."""


def plan_parts(
    dataset: Dataset, vocab_size: int, num_ratios: int, *, predicts_next: bool = False,
    tokens_a_part: int = TOKENS_A_PART,
) -> Plan:  # fmt: skip
    """Read a data set once.

    Args:
        dataset: of `lift.data.prepare_dataset`, not packed.
        vocab_size: V, entries of the model's head.
        num_ratios: at which every example is masked.
        predicts_next: nothing predicts the first token of a row, so it is no token of a response.
        tokens_a_part: tokens of responses times ratios that close a part.

    Raises: LiftError if an id lies outside the vocabulary, or no row has a response.
    """
    frequency, is_used = np.zeros(vocab_size, dtype=np.int64), np.zeros(vocab_size, dtype=bool)
    digest = hashlib.blake2b(digest_size=16)
    edges, pending = [0], 0
    for number, (ids, maskable) in enumerate(rows_of(dataset, predicts_next)):
        if len(ids) and not 0 <= ids.min() <= ids.max() < vocab_size:
            raise LiftError(
                f"row {number} has the token id {int(ids.max())}, outside the model's vocabulary of {vocab_size}: "
                "tokenise the data with the model's own tokenizer."
            )
        np.add.at(frequency, ids[maskable], 1)
        is_used[ids] = True
        digest.update(ids.tobytes() + maskable.tobytes())
        pending += int(maskable.sum()) * num_ratios
        if pending >= tokens_a_part:
            edges.append(number + 1)
            pending = 0
    if edges[-1] < len(dataset):
        edges.append(len(dataset))
    if not frequency.any():
        raise LiftError("no row has a response, so there is no token to mask: check the columns of the data.")
    return Plan([range(*pair) for pair in pairwise(edges)], frequency, is_used, digest.hexdigest())


def rows_of(dataset: Dataset, predicts_next: bool) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """Yield ids and maskable of each row, both (L,)."""
    for batch in dataset.with_format(None).iter(batch_size=1000):
        for values in zip(*batch.values(), strict=True):
            row = dict(zip(batch, values, strict=True))
            maskable = is_response(row)
            if predicts_next:
                maskable[:1] = False
            yield np.asarray(row["input_ids"], dtype=np.int64), maskable
