"""A Trainer that goes on from the checkpoint of its last step: no step is left, and what follows them is done."""

from __future__ import annotations

from typing import Any

from transformers import Trainer


class AfterLastStep(Trainer):
    """transformers' Trainer, which by itself would take one step too many there, within an epoch."""

    _begins_after = 0
    """The step of the checkpoint that this training goes on from."""

    @property
    def _is_over(self) -> bool:
        return 0 < self.state.max_steps <= self._begins_after

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> tuple[list[Any], Any]:
        """Return the micro-batches of one step; none after the last step."""
        return ([], None) if self._is_over else super().get_batch_samples(*args, **kwargs)

    def _maybe_log_save_evaluate(self, *args: Any, **kwargs: Any) -> None:
        if not self._is_over:  # else the start before has done it, and then saved the checkpoint
            super()._maybe_log_save_evaluate(*args, **kwargs)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, without the mean loss of a training that takes no step."""
        if self._is_over:
            logs.pop("train_loss", None)
        super().log(logs, start_time)
