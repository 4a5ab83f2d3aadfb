"""pass@k, the chance that one of k samples of a problem is right (arXiv 2107.03374)."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

from lift.errors import LiftError
from lift.statistics.intervals import Interval, bootstrap_interval, wilson_interval


def pass_at_k(samples: int, correct: int, k: int) -> float:
    """Return the unbiased estimate of pass@k for one problem: 1 - C(n - c, k) / C(n, k).

    The plug-in 1 - (1 - c/n)^k is biased downwards, by 0.15 at n = k = 16 and p = 0.05. At n = k the estimate is 0 or
    1, a coin toss a problem; n = 4 k cuts its standard deviation to less than half.

    Args:
        samples: n, how many answers were drawn, at least k.
        correct: c, how many of them are right.
        k: at least 1.
    Raises: LiftError if n < k, or c is not within 0 to n: an estimate would be biased.
    """
    if not 1 <= k <= samples:
        raise LiftError(f"pass@{k} needs k of at least 1 and as many samples a problem, got {samples}: draw more.")
    if not 0 <= correct <= samples:
        raise LiftError(f"correct must be within 0 and samples, {samples}, got {correct}.")
    # Whole numbers of any size, divided once: no overflow, and rounded once.
    return (comb(samples, k) - comb(samples - correct, k)) / comb(samples, k)


def mean_pass_at_k(
    samples: Sequence[int], correct: Sequence[int], k: int, *, confidence: float = 0.95, seed: int = 0
) -> tuple[float, Interval]:
    """Return the mean of pass@k over problems and its interval, by the bootstrap over problems.

    Where no problem was solved in any sample, or every one in all, resampling shows no spread: the interval is then
    Wilson's on the number of problems.

    Args:
        samples: (problems,) answers drawn for each, at least k.
        correct: (problems,) how many of them are right.
        k: at least 1.
        confidence: of the interval, in (0, 1).
        seed: of the bootstrap.
    Raises: LiftError as `pass_at_k` does, or if there are no problems or the lengths differ.
    """
    if not samples or len(samples) != len(correct):
        raise LiftError(f"samples and correct must be one number a problem, got {len(samples)} and {len(correct)}.")
    scores = [pass_at_k(n, c, k) for n, c in zip(samples, correct, strict=True)]
    mean = sum(scores) / len(scores)
    if not any(correct) or all(n == c for n, c in zip(samples, correct, strict=True)):
        return mean, wilson_interval(len(scores) if any(correct) else 0, len(scores), confidence)
    return mean, bootstrap_interval(scores, confidence=confidence, seed=seed)
