"""How many rows a forward takes: a number, or as many as fit."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from lift.errors import LiftError

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

DEFAULT_MAXIMUM = 64


class BatchSize:
    """Rows a batch. "auto" begins with the most and halves where memory runs out; what was found stays.

    Args:
        size: a number, its word, or "auto" (lm-eval's "auto:N" is the same).
        maximum: of "auto".
    Raises: LiftError for anything else.
    """

    def __init__(self, size: int | str | None = None, maximum: int | None = None) -> None:
        self.is_auto = isinstance(size, str) and size.partition(":")[0] == "auto"
        try:
            self.rows = (maximum or DEFAULT_MAXIMUM) if self.is_auto else int(1 if size is None else size)
        except ValueError:
            self.rows = 0
        if self.rows < 1:
            raise LiftError(f"batch_size must be a whole number of at least 1, or auto, got {size!r}.")

    def batches(
        self, items: Sequence[Item], run: Callable[[Sequence[Item]], Result]
    ) -> Iterator[tuple[Sequence[Item], Result]]:
        """Yield batches of items, and what `run` makes of each."""
        start = 0
        while start < len(items):
            batch = items[start : start + self.rows]
            try:
                result = run(batch)
            except torch.OutOfMemoryError:
                if not self.is_auto or self.rows == 1:
                    raise
                self.rows = max(1, min(self.rows, len(batch)) // 2)
                logger.info("memory ran out: batch_size is %d from here on", self.rows)
                result = None
            if result is None:
                gc.collect()  # outside of the handler, whose traceback holds the tensors
                torch.cuda.empty_cache()
                continue
            yield batch, result
            start += len(batch)
