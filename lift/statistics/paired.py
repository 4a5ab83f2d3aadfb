"""Paired differences of few runs: Student's t, whose interval keeps its coverage at five, as a bootstrap's does not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lift.errors import LiftError
from lift.statistics.intervals import Interval

_ROUNDING = 1e-9


@dataclass(frozen=True)
class PairedDifference:
    """The mean of paired differences, and how sure it is."""

    mean: float

    interval: Interval | None
    """None of one pair, or of pairs that all differ alike: they say nothing of how others would."""

    p_value: float | None
    """Two-sided, for no difference; None without an interval."""


def paired_difference(differences: Sequence[float], *, confidence: float = 0.95) -> PairedDifference:
    """Return the mean of differences with its t interval and the p value of the t test.

    Args:
        differences: (n,) one for each pair, at least one.
        confidence: of the interval, in (0, 1).
    Raises: LiftError if there are no differences.
    """
    number = len(differences)
    if not number:
        raise LiftError("a difference needs pairs, at least one.")
    mean = math.fsum(differences) / number
    if number == 1 or max(differences) - min(differences) <= _ROUNDING * abs(mean):
        return PairedDifference(mean, None, None)
    variance = math.fsum((value - mean) ** 2 for value in differences) / (number - 1)
    error = math.sqrt(variance / number)
    half = t_quantile(0.5 + confidence / 2, number - 1) * error
    p_value = 1 - _central_share(abs(mean) / error, number - 1)
    return PairedDifference(mean, Interval(mean - half, mean + half), p_value)


def t_quantile(probability: float, degrees: int) -> float:
    """Return the t below which a variable of Student's distribution lies with `probability`, in [0.5, 1).

    Args:
        probability: in [0.5, 1).
        degrees: of freedom, at least 1.
    """
    if not 0.5 <= probability < 1:
        raise LiftError(f"probability must be at least 0.5 and below 1, got {probability}.")
    central = 2 * probability - 1
    high = 1.0
    while _central_share(high, degrees) < central:
        high *= 2
    low = 0.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _central_share(middle, degrees) < central else (low, middle)
    return high


def _central_share(t: float, degrees: int) -> float:
    """Return P(|T| < t), exact for whole degrees of freedom.

    Source: Abramowitz and Stegun, Handbook of mathematical functions (1964), 26.7.3 and 26.7.4.
    """
    angle = math.atan(t / math.sqrt(degrees))
    sine, squared = math.sin(angle), math.cos(angle) ** 2
    is_odd = degrees % 2
    term = math.cos(angle) if is_odd else 1.0
    total = 0.0
    for place in range(2 + is_odd, degrees + 1, 2):
        total += term
        term *= squared * (place - 1) / place
    return 2 / math.pi * (angle + sine * total) if is_odd else sine * total
