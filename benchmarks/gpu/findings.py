"""What one check found: every comparison it made, not only the first that failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lift_kernels.testing import assert_gradient_close, assert_nats_close

_LOGIT_ROUNDING = 4e-6  # a few units in the last place of a float32 logit of 10


class Findings:
    """Comparisons by the two rules of `lift_kernels.testing` and by bits; `numbers` keeps the worst of each kind."""

    def __init__(self) -> None:
        self.comparisons = 0
        self.failures: list[str] = []
        self.numbers: dict[str, float] = {}

    def nats(self, label: str, ours: Tensor, truth: Tensor, **tolerance: float) -> None:
        self._judge(label, lambda: assert_nats_close(ours=ours, truth=truth, **tolerance))
        if ours.shape == truth.shape and truth.numel():
            # As the rule counts it: beyond what a value far from 1 is allowed.
            excess = (ours.double() - truth).abs() - tolerance.get("rtol", 1e-6) * truth.abs()
            self._worst("nats", max(excess.max().item(), 0.0))

    def gradient(self, label: str, ours: Tensor, truth: Tensor, baseline: Tensor) -> None:
        if truth.numel() == 0 or not truth.any():  # no error can be set in relation to it
            return self.equal(label, ours, torch.zeros_like(baseline))
        if _is_rounding(ours, truth):
            self.holds(label, True, "")
        else:
            self._judge(label, lambda: assert_gradient_close(ours=ours, truth=truth, baseline=baseline))
        if ours.shape == truth.shape:
            self._worst("gradient_error", relative_error(ours, truth))
            self._worst("plain_gradient_error", relative_error(baseline, truth))
        return None

    def equal(self, label: str, ours: Tensor, expected: Tensor) -> None:
        self.holds(label, ours.dtype == expected.dtype and torch.equal(ours, expected), "not equal to the last bit")

    def holds(self, label: str, condition: bool, otherwise: str) -> None:
        self.comparisons += 1
        if not condition:
            self.failures.append(f"{label}: {otherwise}")

    def note(self, **numbers: float) -> None:
        self.numbers.update(numbers)

    def _judge(self, label: str, rule: Callable[[], Any]) -> None:
        try:
            rule()
        except AssertionError as error:
            self.holds(label, False, str(error).partition("\n")[0])
        else:
            self.holds(label, True, "")

    def _worst(self, name: str, value: float) -> None:
        # A nan stays the worst; `max` would drop it.
        before = self.numbers.get(name, 0.0)
        self.numbers[name] = before if before >= value or before != before else value


def _is_rounding(ours: Tensor, truth: Tensor) -> bool:
    """Whether a float32 gradient is off by no more than float32 logits are, which its probabilities come from.

    Where weights span six decades, one row makes the largest error, and its ratio to the plain one is luck. A product
    in tf32 is off by a hundred times as much.
    """
    if ours.dtype != torch.float32 or ours.shape != truth.shape:
        return False
    largest_error, largest = (ours.double() - truth).abs().max(), truth.abs().max()
    return relative_error(ours, truth) <= _LOGIT_ROUNDING and bool(largest_error <= _LOGIT_ROUNDING * largest)


def relative_error(ours: Tensor, truth: Tensor) -> float:
    """Root mean square error over the root mean square of the truth."""
    return ((ours.double() - truth).norm() / truth.norm()).item()
