"""Paired differences: a t interval, the sign-flip test, and Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

import lift.statistics

_RESAMPLES = 99_999  # up to 16 differences all sign patterns are counted, and the test is exact


class Difference(NamedTuple):
    """The mean of paired differences, its 95 % t interval, and the p value of the two-sided t test."""

    mean: float
    low: float
    high: float
    p_value: float


def paired_difference(differences: Sequence[float]) -> Difference:
    """Return mean, t interval and t test of (n,) differences; without two that differ, the interval is unbounded."""
    found = lift.statistics.paired_difference(differences)
    if found.interval is None or found.p_value is None:
        return Difference(found.mean, -math.inf, math.inf, 1.0)
    return Difference(found.mean, found.interval.low, found.interval.high, found.p_value)


def sign_flip_p_value(differences: Sequence[float]) -> float:
    """Return the two-sided p value of (n,) differences, at least 2, whose signs chance might as well have flipped."""
    found = stats.permutation_test(
        (np.asarray(differences),), np.mean, permutation_type="samples", n_resamples=_RESAMPLES, rng=0, batch=10_000,
        vectorized=True,
    )  # fmt: skip
    return float(found.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return adjusted p values in the order given: reject those below alpha, and the family errs with at most alpha.

    Source: S. Holm, Scandinavian Journal of Statistics 6:65 (1979).
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
