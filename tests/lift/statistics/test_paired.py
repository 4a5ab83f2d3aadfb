"""Student's t against SciPy's, and the intervals' coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lift.errors import LiftError
from lift.statistics import paired_difference, t_quantile


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 19, 20, 101])
@pytest.mark.parametrize("probability", [0.5, 0.6, 0.975, 0.9995])
def test_quantiles_are_those_of_scipy(degrees, probability):
    assert t_quantile(probability, degrees) == pytest.approx(stats.t.ppf(probability, degrees), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("number", [2, 3, 5, 8])
def test_interval_and_p_value_are_those_of_scipys_t_test(number):
    differences = np.random.default_rng(number).normal(0.7, 1, number).tolist()
    found, truth = paired_difference(differences, confidence=0.9), stats.ttest_1samp(differences, 0)
    assert found.mean == pytest.approx(np.mean(differences))
    assert found.interval == pytest.approx(tuple(truth.confidence_interval(0.9)))
    assert found.p_value == pytest.approx(truth.pvalue, abs=1e-12)


def test_95_of_100_intervals_of_five_pairs_hold_the_truth():
    pairs = np.random.default_rng(0).normal(1, 3, (2000, 5))
    held = [(found := paired_difference(row.tolist()).interval).low <= 1 <= found.high for row in pairs]
    assert 0.935 < np.mean(held) < 0.965


@pytest.mark.parametrize("differences", [[2.0], [2.0, 2.0], [0.1 + 0.2, 0.3, 0.3]])
def test_what_shows_no_spread_has_no_interval(differences):
    found = paired_difference(differences)
    assert found.mean == pytest.approx(differences[0]) and found.interval is None and found.p_value is None


def test_no_pairs_and_no_probability_are_refused():
    with pytest.raises(LiftError, match="needs pairs"):
        paired_difference([])
    with pytest.raises(LiftError, match=r"below 1, got 1\.0"):
        t_quantile(1.0, 3)
