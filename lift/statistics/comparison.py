"""Do two runs differ on the same problems? Exact McNemar for verdicts, the paired bootstrap for other scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lift.errors import LiftError
from lift.statistics.intervals import Interval, bootstrap_interval


@dataclass(frozen=True)
class Comparison:
    """A run against another on the same problems."""

    difference: float
    """Mean of the second run less mean of the first."""

    interval: Interval
    """Of the difference, by the bootstrap over problems."""

    p_value: float
    """Two-sided, for no difference."""

    only_first: int
    """Problems on which the first run scores higher."""

    only_second: int
    """Problems on which the second run scores higher."""


def mcnemar_p_value(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p value of McNemar's test, a binomial one on the discordant pairs.

    Args:
        only_first: problems that only the first run solved.
        only_second: problems that only the second run solved.
    Raises: LiftError if a count is negative.
    """
    if min(only_first, only_second) < 0:
        raise LiftError(f"counts of problems must be at least 0, got {only_first} and {only_second}.")
    discordant = only_first + only_second
    tail = sum(comb(discordant, i) for i in range(min(only_first, only_second) + 1))
    # Whole numbers, divided once; a tie counts its middle term twice, hence the bound.
    return min(1.0, 2 * tail / 2**discordant)


def compare_accuracies(
    first: Sequence[bool], second: Sequence[bool], *, confidence: float = 0.95, seed: int = 0
) -> Comparison:
    """Compare two runs by their verdicts on the same problems, in the same order: McNemar's exact test.

    Args:
        first, second: (problems,) whether the answer is right.
        confidence: of the interval of the difference, in (0, 1).
        seed: of the bootstrap.
    Raises: LiftError if there are no problems, or the lengths differ.
    """
    scores = _pair(np.asarray(first, dtype=bool), np.asarray(second, dtype=bool))
    only_first, only_second = int((scores < 0).sum()), int((scores > 0).sum())
    return Comparison(
        difference=float(scores.mean()),
        interval=bootstrap_interval(scores, confidence=confidence, seed=seed),
        p_value=mcnemar_p_value(only_first, only_second),
        only_first=only_first,
        only_second=only_second,
    )


def compare_scores(
    first: Sequence[float],
    second: Sequence[float],
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Compare two runs by scores that are no verdicts, such as pass@k, on the same problems: the paired bootstrap.

    The p value is the share of resamples, centred on no difference, that lie as far from it as the runs do.

    Args:
        first, second: (problems,) one score a problem, in the same order.
        confidence: of the interval of the difference, in (0, 1).
        resamples: how often the problems are drawn; no p value is below 1 / (resamples + 1).
        seed: of the bootstrap.
    Raises: LiftError if there are no problems, or the lengths differ.
    """
    scores = _pair(np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64))
    difference = float(scores.mean())
    rng = np.random.default_rng([seed, 1])  # not the draws of the interval
    centred = np.array(
        [(scores - difference)[rng.integers(len(scores), size=len(scores))].mean() for _ in range(resamples)]
    )
    as_far = int((np.abs(centred) >= abs(difference) * (1 - 1e-12)).sum())
    return Comparison(
        difference=difference,
        interval=bootstrap_interval(scores, confidence=confidence, resamples=resamples, seed=seed),
        p_value=(as_far + 1) / (resamples + 1),
        only_first=int((scores < 0).sum()),
        only_second=int((scores > 0).sum()),
    )


def _pair(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    if first.ndim != 1 or not len(first) or first.shape != second.shape:
        raise LiftError(
            f"two runs are compared on the same problems, one score each, got shapes {first.shape} and {second.shape}."
        )
    return second.astype(np.float64) - first.astype(np.float64)
