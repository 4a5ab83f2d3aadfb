"""Which band of frequency each token of the vocabulary belongs to, in the rows of a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from transformers.trainer_utils import has_length

from lift.data.collator import missing_columns
from lift.data.response_spans import is_response
from lift.learnability.bands import band_of

_MOST_ROWS = 5000  # that are counted, evenly spread: a band is a tenfold step


def token_bands(rows: Any, vocab_size: int, *, pad_token_id: int | None = None) -> Tensor | None:
    """Return the band (V,) int64 of `lift.learnability.bands.BANDS` of each token.

    None where that is not known: of a stream, of rows without responses or of another kind than `prepare_dataset`'s.

    Args:
        rows: the training set; of a large one some rows are counted.
        vocab_size: V.
        pad_token_id: also count the pads that bring every row to the longest one's length, where pads are trained.
    """
    if rows is None or not has_length(rows):
        return None
    num_rows, table = len(rows), cast(Any, rows)
    counts, lengths = np.zeros(vocab_size, dtype=np.int64), []
    for place in np.unique(np.linspace(0, max(num_rows - 1, 0), min(num_rows, _MOST_ROWS)).astype(int)):
        row = table[int(place)]
        if not isinstance(row, Mapping) or missing_columns(row):
            return None  # of a collator of the caller's own, who alone knows where responses are
        ids = np.asarray(row["input_ids"], dtype=np.int64)
        is_counted = is_response(row) & (ids >= 0) & (ids < vocab_size)  # others are refused by the step that has them
        np.add.at(counts, ids[is_counted], 1)
        lengths.append(len(ids))
    if not counts.any():
        return None
    if pad_token_id is not None:
        counts[pad_token_id] += max(lengths) * len(lengths) - sum(lengths)
    return torch.from_numpy(band_of(counts.clip(min=1), int(counts.sum())))
