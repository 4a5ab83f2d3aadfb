"""Stop a run whose loss is no longer finite."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from lift.errors import LiftError
from lift.training.checkpoints import newest_checkpoint


class FiniteLoss:
    """Looks at each loss at once on a CPU; elsewhere, where that would synchronise, when `check` is called.

    Args:
        device: of the losses.
        output: the run's folder; the sentence names the newest checkpoint in it, if there is one.
    """

    def __init__(self, device: torch.device, output: Path) -> None:
        self._is_finite, self._output = torch.ones((), dtype=torch.bool, device=device), output

    def watch(self, loss: Tensor, step: int) -> None:
        """Take note of the loss of optimiser step `step`, counted from 1; on a CPU raise as `check` does."""
        if loss.device.type == "cpu":
            self._raise_unless_finite(loss.item(), step)
        else:
            self._is_finite &= loss.detach().isfinite()

    def check(self, step: int) -> None:
        """Raise LiftError if a loss up to optimiser step `step` was not finite. Reads from the device."""
        if not self._is_finite:
            self._raise_unless_finite(math.nan, step)

    def _raise_unless_finite(self, loss: float, step: int) -> None:
        if math.isfinite(loss):
            return
        newest = newest_checkpoint(self._output)
        intact = "" if newest is None else f"; the last checkpoint, {newest}, is intact"
        raise LiftError(
            f"the loss is {loss} by step {step}, so training stopped: lower learning_rate, set max_grad_norm, or look "
            f"for broken weights or data{intact}."
        )
