"""pass@k against its definition: the share of all draws of k samples that hold a right one."""

from __future__ import annotations

import itertools
import json

import pytest

from lift.errors import LiftError
from lift.statistics import mean_pass_at_k, pass_at_k, wilson_interval


@pytest.mark.parametrize(
    ("samples", "correct", "k", "value"),
    [(5, 2, 3, 9 / 10), (10, 3, 5, 11 / 12), (32, 2, 16, 47 / 62), (64, 5, 16, 41057 / 52948), (1000, 1, 16, 2 / 125)],
)
def test_known_values(samples, correct, k, value):
    assert pass_at_k(samples, correct, k) == value


def test_it_is_the_share_of_all_draws():
    for samples, correct in itertools.product(range(1, 8), repeat=2):
        for k in range(1, samples + 1) if correct <= samples else ():
            draws = list(itertools.combinations(range(samples), k))
            hits = sum(min(draw) < correct for draw in draws)
            assert pass_at_k(samples, correct, k) == hits / len(draws)


def test_the_exact_table(shared_dir):
    rows = json.loads((shared_dir / "tools/evaluation/exact_numbers.json").read_text())["pass_at_k"]
    assert len(rows) >= 18
    for samples, correct, k, _, value in rows:
        assert pass_at_k(samples, correct, k) == pytest.approx(value, rel=1e-15)


def test_many_samples_neither_overflow_nor_cancel():
    assert pass_at_k(100_000, 1, 1) == 1e-5
    assert pass_at_k(20_000, 19_000, 10_000) == 1.0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((8, 2, 16), "pass@16.*draw more"),
        ((8, 2, 0), "pass@0"),
        ((8, 9, 4), "correct must"),
        ((8, -1, 4), "correct must"),
    ],
)
def test_what_has_no_unbiased_estimate_is_refused(arguments, complaint):
    with pytest.raises(LiftError, match=complaint):
        pass_at_k(*arguments)


def test_the_mean_is_over_problems_with_its_interval():
    mean, interval = mean_pass_at_k([4, 8, 8], [1, 0, 8], 2)
    assert mean == pytest.approx((0.5 + 0 + 1) / 3)
    assert interval.low < mean < interval.high
    assert interval == mean_pass_at_k([4, 8, 8], [1, 0, 8], 2)[1]


@pytest.mark.parametrize(("correct", "successes"), [(0, 0), (16, 30)])
def test_where_all_problems_agree_the_interval_is_wilsons(correct, successes):
    mean, interval = mean_pass_at_k([16] * 30, [correct] * 30, 4)
    assert mean == successes / 30
    assert interval == wilson_interval(successes, 30)


def test_no_problems_and_unequal_lengths_are_refused():
    for samples, correct in (([], []), ([4, 4], [1])):
        with pytest.raises(LiftError, match="one number a problem"):
            mean_pass_at_k(samples, correct, 1)
