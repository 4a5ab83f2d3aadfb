"""Two runs on the same problems."""

from __future__ import annotations

import itertools
import json
from statistics import NormalDist

import numpy as np
import pytest

from lift.errors import LiftError
from lift.statistics import compare_accuracies, compare_scores, mcnemar_p_value


@pytest.mark.parametrize(
    ("first", "second", "value"), [(5, 0, 0.0625), (10, 3, 0.092285156), (12, 5, 0.143463135), (0, 0, 1), (8, 8, 1)]
)
def test_mcnemar_has_its_known_values(first, second, value):
    assert mcnemar_p_value(first, second) == pytest.approx(value, abs=1e-9)


def test_mcnemar_against_the_table(shared_dir):
    rows = json.loads((shared_dir / "tools/evaluation/exact_numbers.json").read_text())["mcnemar_exact_two_sided"]
    assert len(rows) >= 9
    for first, second, value in rows:
        assert mcnemar_p_value(first, second) == pytest.approx(value, abs=1e-9)


def test_mcnemar_is_a_count_of_coin_tosses():
    for first, second in itertools.product(range(5), repeat=2):
        tosses = list(itertools.product((0, 1), repeat=first + second))
        as_far = sum(abs(2 * sum(toss) - first - second) >= abs(first - second) for toss in tosses)
        assert mcnemar_p_value(first, second) == as_far / len(tosses)
    with pytest.raises(LiftError, match="at least 0"):
        mcnemar_p_value(-1, 2)


def test_verdicts_are_compared_on_the_discordant_problems():
    first, second = [True] * 12 + [False] * 18, [True] * 9 + [False] * 3 + [True] * 10 + [False] * 8
    found = compare_accuracies(first, second)
    assert (found.only_first, found.only_second) == (3, 10)
    assert found.difference == pytest.approx(7 / 30)
    assert found.p_value == mcnemar_p_value(3, 10)
    assert found.interval.low < found.difference < found.interval.high
    back = compare_accuracies(second, first)
    assert (back.difference, back.p_value) == (-found.difference, found.p_value)


def test_scores_are_compared_by_the_paired_bootstrap():
    rng = np.random.default_rng(5)
    first = rng.uniform(size=200)
    second = first + rng.normal(0.01, 0.1, 200)
    found = compare_scores(first, second)
    # The normal test on the differences, of 200 problems.
    z = (second - first).mean() / ((second - first).std() / 200**0.5)
    expected = 2 * NormalDist().cdf(-z)
    assert 0.05 < expected < 0.5
    assert found.p_value == pytest.approx(expected, abs=0.02)
    assert found.interval.low < 0 < found.difference < found.interval.high
    assert compare_scores(first, first + 0.2 + 0.01 * rng.uniform(size=200)).p_value < 0.001
    assert compare_scores(first, first).p_value == 1


def test_runs_on_different_problems_are_refused():
    for first, second in (([], []), ([1, 0], [1])):
        with pytest.raises(LiftError, match="on the same problems"):
            compare_accuracies(first, second)
        with pytest.raises(LiftError, match="on the same problems"):
            compare_scores(first, second)
