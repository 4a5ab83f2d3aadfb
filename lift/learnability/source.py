"""What a trainer asks of anything that scores tokens in place of its scoring forward."""

from __future__ import annotations

from os import PathLike
from typing import Protocol

from torch import Tensor


class ScoreSource(Protocol):
    """Scores the clean tokens of a batch without a forward, and may learn from the forward of the loss."""

    def score_batch(self, example_id: Tensor, clean_ids: Tensor) -> Tensor:
        """Return how easy each token is, (B, L) float32 in nats on the device of clean_ids; high is easy.

        `example_id` (B,) int64, best on the host; `clean_ids` (B, L) int64, without mask tokens.
        """
        ...

    def update(self, example_id: Tensor, positions: Tensor, log_prob: Tensor) -> None:
        """Learn the log-probabilities (B, L) that the loss computed where `positions` (B, L) bool is True."""
        ...

    def save(self, folder: str | PathLike[str]) -> None:
        """Write what `load` of the same class needs; every process calls it, with the same folder."""
        ...
