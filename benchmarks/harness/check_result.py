"""What one check compared: every comparison it made, not only the first that failed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lift_kernels.testing import assert_gradient_close, assert_nats_close

_LOGIT_ROUNDING = 4e-6  # a few units in the last place of a float32 logit of 10


class CheckResult:
    """Comparisons by the two rules of `lift_kernels.testing` and by bits.

    `failures` has a sentence for each comparison that failed; `numbers` keeps the worst error of each kind.
    """

    def __init__(self) -> None:
        self.comparisons = 0
        self.failures: list[str] = []
        self.numbers: dict[str, float] = {}

    def compare_nats(
        self, label: str, ours: Tensor, truth: Tensor, *, rtol: float = 1e-6, logit_size: Tensor | float = 0.0
    ) -> None:
        """Compare float32 nats with a float64 truth of the same shape.

        `rtol` is for values far from 1, `logit_size` (a number or of that shape) for products of tensor cores.
        """
        self._apply(label, lambda: assert_nats_close(ours=ours, truth=truth, rtol=rtol, logit_size=logit_size))
        if ours.shape == truth.shape and truth.numel():
            # Beyond what a value far from 1 is allowed; with what tensor cores are.
            excess = (ours.double() - truth).abs() - rtol * truth.abs()
            self._keep_worst("nats", max(excess.max().item(), 0.0))

    def compare_gradient(self, label: str, ours: Tensor, truth: Tensor, baseline: Tensor) -> None:
        """Compare a gradient with a float64 truth, relative to the error of `baseline`, the plain one in its dtype."""
        if truth.numel() == 0 or not truth.any():  # no error can be set in relation to it
            self.compare_exactly(label, ours, torch.zeros_like(baseline))
            return
        if _is_rounding(ours, truth):
            self.expect(label, True, "")
        else:
            self._apply(label, lambda: assert_gradient_close(ours=ours, truth=truth, baseline=baseline))
        if ours.shape == truth.shape:
            self._keep_worst("gradient_error", relative_error(ours, truth))
            self._keep_worst("plain_gradient_error", relative_error(baseline, truth))

    def compare_exactly(self, label: str, ours: Tensor, expected: Tensor) -> None:
        """Compare dtype, shape and every value."""
        self.expect(label, ours.dtype == expected.dtype and torch.equal(ours, expected), "not equal to the last bit")

    def expect(self, label: str, condition: bool, otherwise: str) -> None:
        """Count one comparison; where `condition` is false, it failed, and `otherwise` says how."""
        self.comparisons += 1
        if not condition:
            self.failures.append(f"{label}: {otherwise}")

    def add_numbers(self, **numbers: float) -> None:
        self.numbers.update(numbers)

    def _apply(self, label: str, rule: Callable[[], None]) -> None:
        try:
            rule()
        except AssertionError as error:
            self.expect(label, False, str(error).partition("\n")[0])
        else:
            self.expect(label, True, "")

    def _keep_worst(self, name: str, value: float) -> None:
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
    """Return the root mean square error over the root mean square of the truth."""
    return ((ours.double() - truth).norm() / truth.norm()).item()
