"""Intervals: known values, and how often they cover the truth."""

from __future__ import annotations

import json
from math import comb

import numpy as np
import pytest

from lift.errors import LiftError
from lift.statistics import bootstrap_interval, wilson_interval


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(0, 30, 0, 0.113513), (1, 30, 0.005909, 0.166704), (169, 500, 0.297913, 0.380557), (1, 1, 0.206549, 1)],
)
def test_wilson_has_its_known_values(successes, trials, low, high):
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=6e-7)


def test_wilson_against_the_table(shared_dir):
    rows = json.loads((shared_dir / "tools/evaluation/exact_numbers.json").read_text())["wilson_95"]
    assert len(rows) >= 15
    for successes, trials, low, high in rows:
        assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=6e-7)


def test_wilson_ends_exactly_where_nothing_or_everything_succeeded():
    assert wilson_interval(0, 7).low == 0 and wilson_interval(7, 7).high == 1
    narrow, wide = (wilson_interval(3, 30, confidence) for confidence in (0.5, 0.99))
    assert wide.low < narrow.low < 0.1 < narrow.high < wide.high


def test_wilson_covers_where_the_textbook_interval_does_not():
    def coverage(share: float) -> float:
        covered = [i for i in range(31) if (ends := wilson_interval(i, 30)).low <= share <= ends.high]
        return sum(comb(30, i) * share**i * (1 - share) ** (30 - i) for i in covered)

    assert coverage(0.03) == pytest.approx(0.94, abs=0.001)
    assert coverage(0.1) == pytest.approx(0.974, abs=0.001)


@pytest.mark.parametrize("arguments", [(-1, 5), (6, 5), (0, 0)])
def test_impossible_counts_are_refused(arguments):
    with pytest.raises(LiftError, match="successes"):
        wilson_interval(*arguments)


def test_confidence_is_a_probability():
    for confidence in (0.0, 1.0, 95.0):
        with pytest.raises(LiftError, match="confidence must be between 0 and 1"):
            wilson_interval(1, 2, confidence)
        with pytest.raises(LiftError, match="confidence must be between 0 and 1"):
            bootstrap_interval([0, 1], confidence=confidence)


def test_the_bootstrap_has_the_width_of_the_normal_interval_on_many_problems():
    scores = np.random.default_rng(3).normal(2.0, 0.5, 400)
    low, high = bootstrap_interval(scores)
    half = 1.96 * scores.std() / 20
    assert (low, high) == pytest.approx((scores.mean() - half, scores.mean() + half), abs=0.1 * half)
    assert (low, high) == bootstrap_interval(scores)
    assert (low, high) != bootstrap_interval(scores, seed=1)


def test_the_bootstrap_of_a_pooled_share_draws_problems_with_their_weights():
    right, cells = np.array([4, 0, 3, 8]), np.array([8, 2, 3, 9])
    low, high = bootstrap_interval(right, cells, resamples=20_000)
    # All 256 ways to draw four problems, each as likely.
    drawn = np.indices((4,) * 4).reshape(4, -1)
    shares = np.sort(right[drawn].sum(0) / cells[drawn].sum(0))
    assert shares[3] <= low <= shares[9] and shares[-10] <= high <= shares[-4]


def test_problems_without_cells_do_no_harm():
    assert bootstrap_interval([0, 2, 2], [0, 4, 4]) == (0.5, 0.5)
    with pytest.raises(LiftError, match="weights must not all be 0"):
        bootstrap_interval([0, 0], [0, 0])


def test_problems_and_weights_must_match():
    for scores, weights in (([], None), ([1, 2], [1]), ([[1.0]], None)):
        with pytest.raises(LiftError, match="one number a problem"):
            bootstrap_interval(scores, weights)
    with pytest.raises(LiftError, match="resamples must be at least 1"):
        bootstrap_interval([1, 2], resamples=0)
