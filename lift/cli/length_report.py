"""How long the rows of a run are, and what of them max_length takes away."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from lift.data.response_spans import is_response
from lift.data.row_columns import row_lengths
from lift.tasks import Task

_SHARES = (0.5, 0.9, 0.99, 1.0)
_LONGEST = (1 << 31) - 1

Numbers = npt.NDArray[np.int64]


def percentiles(numbers: Numbers) -> list[int]:
    """Return p50, p90, p99 and the largest, each a length that occurs."""
    return [int(n) for n in np.quantile(numbers, _SHARES, method="higher")]


def lengths_of(rows: Any) -> tuple[Numbers, Numbers]:
    """Return the tokens of each row and of its responses."""
    whole = row_lengths(rows)
    assert whole is not None  # prepare_dataset has made these rows
    return whole, np.array([is_response(row).sum() for row in rows], dtype=np.int64)


def loss_to_max_length(task: Task, max_length: int, truncation: str, open_without_limit: Callable[[], Task]) -> str:
    """Say how many rows to train on were cut or dropped to fit, and which share of rows and tokens that is.

    Args:
        task: its rows, cut or dropped.
        max_length, truncation: how they were.
        open_without_limit: tokenises the same rows whole; called only where some may be longer.
    """
    kept, _ = lengths_of(task.train)
    if truncation == "right" and kept.max() < max_length:
        return f"nothing is cut: the longest row has {kept.max():,} of max_length={max_length:,} tokens"
    with _silent():
        whole, _ = lengths_of(open_without_limit().train)
    num_long, num_tokens = int((whole > max_length).sum()), int(whole.sum())
    num_lost = num_tokens - int(kept.sum())
    if not num_long:
        return f"nothing is {_done(truncation)}: all rows fit max_length={max_length:,}"
    return (
        f"{num_long:,} of {len(whole):,} rows ({num_long / len(whole):.1%}) are {_done(truncation)} to fit "
        f"max_length={max_length:,}, and with them {num_lost:,} of {num_tokens:,} tokens ({num_lost / num_tokens:.1%})"
    )


def without_limit(config: Any) -> Any:
    """Return a copy of a `LiftConfig` with room for every row."""
    copied = copy.copy(config)
    copied.max_length, copied.disable_tqdm = _LONGEST, True
    return copied


def _done(truncation: str) -> str:
    return "cut" if truncation == "right" else "dropped"


@contextmanager
def _silent() -> Iterator[None]:
    """Say nothing twice of the same rows."""
    logger = logging.getLogger("lift")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
