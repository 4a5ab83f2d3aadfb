"""Stop a run whose loss is no longer finite."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lift.errors import LiftError


class FiniteLoss:
    """Looks at each loss at once on a CPU; elsewhere, where that would synchronise, when `check` is called."""

    def __init__(self, device: torch.device) -> None:
        self._is_finite = torch.ones((), dtype=torch.bool, device=device)

    def watch(self, loss: Tensor, step: int) -> None:
        """Take note of the loss of optimiser step `step`, counted from 1; on a CPU raise as `check` does."""
        if loss.device.type == "cpu":
            _raise_unless_finite(loss.item(), step)
        else:
            self._is_finite &= loss.detach().isfinite()

    def check(self, step: int) -> None:
        """Raise LiftError if a loss up to optimiser step `step` was not finite. Reads from the device."""
        if not self._is_finite:
            _raise_unless_finite(math.nan, step)


def _raise_unless_finite(loss: float, step: int) -> None:
    if not math.isfinite(loss):
        raise LiftError(
            f"the loss is {loss} by step {step}, so training stopped: lower learning_rate, set max_grad_norm, or look "
            "for broken weights or data; the last checkpoint in output_dir is intact."
        )
