from __future__ import annotations

import math

import pytest

from benchmarks.study.statistics import holm, paired_difference, sign_flip_p_value


def test_the_interval_is_student_s():
    # By hand: s = sqrt(2.5), t(0.975; 4) = 2.776445.
    found = paired_difference([1.0, 2.0, 3.0, 4.0, 5.0])
    half = 2.776445 * math.sqrt(2.5 / 5)
    assert found[:3] == pytest.approx((3.0, 3 - half, 3 + half), abs=1e-6)
    assert found.p_value == pytest.approx(0.013236, abs=1e-5)  # of t = 4.2426 at 4 degrees of freedom


@pytest.mark.parametrize("differences", [[2.0], [2.0, 2.0, 2.0], [2.0, 2.0 + 1e-15, 2.0]])
def test_without_spread_nothing_is_claimed(differences):
    assert paired_difference(differences) == pytest.approx((2.0, -math.inf, math.inf, 1.0))


def test_sign_flips_are_counted():
    assert sign_flip_p_value([1.0, 2.0, 4.0]) == pytest.approx(2 / 8)  # only all plus and all minus are as far
    assert sign_flip_p_value([1.0, -2.0, 4.0]) == pytest.approx(6 / 8)  # sums of 7, 5 and 3 and their opposites are
    assert sign_flip_p_value([-1.0, 1.0]) == 1.0


def test_holm_multiplies_by_what_is_left_and_never_falls():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
