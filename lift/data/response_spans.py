"""Where the responses of a row stand: one behind the prompt, or several with context between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Span = tuple[int, int]
"""Start and end of a response, in tokens of its row."""

COLUMN = "response_spans"
"""Of rows with several responses: their starts and ends, one after the other; of packed rows in those of the row."""


def flatten(spans: Sequence[Span], max_length: int) -> list[int]:
    """Return the cell of the column for spans of which what lies behind `max_length` tokens is cut off."""
    return [min(edge, max_length) for span in spans if span[0] < max_length for edge in span]


def segments(row: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    """Return (start, end, end of the prompt) of each example of a row, packed or not, in tokens of the row."""
    if "segment_lengths" not in row:
        return [(0, len(row["input_ids"]), int(row["prompt_length"]))]
    found, start = [], 0
    for length, prompt_length in zip(row["segment_lengths"], row["segment_prompt_lengths"], strict=True):
        found.append((start, start + int(length), start + int(prompt_length)))
        start += int(length)
    return found


def is_response(row: Mapping[str, Any]) -> npt.NDArray[np.bool_]:
    """Return which tokens of a row, packed or not, belong to a response (L,)."""
    found = np.zeros(len(row["input_ids"]), dtype=bool)
    edges = row.get(COLUMN)
    if edges is None:
        edges = [edge for _, end, end_of_prompt in segments(row) for edge in (end_of_prompt, end)]
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        found[int(start) : int(end)] = True
    return found
