"""From losses to a density: by closed forms, and as the best of all densities."""

from __future__ import annotations

import numpy as np
import pytest

from lift.analysis.density_fit import density_of_times, integral, mean_and_variance, mean_square_left, smoothed
from lift.errors import LiftError

TIMES = np.arange(1, 20) / 20
MEAN, VARIANCE = 1 + TIMES**2, 0.3 / TIMES


def test_mean_and_variance_are_those_of_the_masks_averaged_over_what_counts():
    losses = np.array([[[1.0, 3.0]], [[2.0, 2.0]], [[np.nan, np.nan]]])
    mean, variance = mean_and_variance(losses)
    assert mean.tolist() == [2.0] and variance.tolist() == [1.0]  # unbiased: 2 and 0


def test_the_density_follows_the_root_of_the_mean_square():
    points, density = density_of_times(TIMES, MEAN, VARIANCE, smoothing=0, floor=1e-9)
    root = np.sqrt(VARIANCE + MEAN**2)
    assert points[0] == 0 and points[-1] == 1 and np.array_equal(points[1:-1], TIMES)
    np.testing.assert_allclose(density[1:-1] / density[1], root / root[0], rtol=1e-6)
    assert density[0] == density[1] and density[-1] == density[-2]
    assert integral(points, density) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("floor", [0.1, 0.5, 1.0])
def test_no_time_is_rarer_than_the_floor(floor):
    mean = np.where(TIMES < 0.5, 1e-9, 1.0)
    points, density = density_of_times(TIMES, mean, mean * 0, smoothing=0, floor=floor)
    assert integral(points, density) == pytest.approx(1, abs=1e-12)
    assert density.min() == pytest.approx(floor, rel=1e-6) and (floor < 1 or (density == 1).all())


def test_a_line_stays_a_line_and_a_jag_is_levelled():
    line = 3 - 2 * TIMES
    np.testing.assert_allclose(smoothed(line, 3), line, rtol=1e-12)
    assert smoothed(np.array([1.0, 1.0, 4.0, 1.0, 1.0]), 1).tolist() == [1.0, 2.0, 2.0, 2.0, 1.0]
    assert np.array_equal(smoothed(VARIANCE, 0), VARIANCE)


def test_no_other_density_has_a_smaller_mean_square():
    points, best = density_of_times(TIMES, MEAN, VARIANCE, smoothing=0, floor=1e-9)
    square = VARIANCE + MEAN**2
    least = mean_square_left(points, best, TIMES, MEAN, VARIANCE)
    heights = np.interp(points, TIMES, np.sqrt(square))
    assert least == pytest.approx(integral(points, heights) ** 2 / integral(points, heights**2), rel=1e-6)
    assert mean_square_left(points, np.ones_like(points), TIMES, MEAN, VARIANCE) == 1
    generator = np.random.default_rng(0)
    for _ in range(20):
        other = best * generator.uniform(0.7, 1.3, len(best))
        other /= integral(points, other)
        assert mean_square_left(points, other, TIMES, MEAN, VARIANCE) > least


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        (np.full((2, 3, 2), np.nan), "no row has a response"),
        (np.array([[[1.0, np.inf]]]), "the loss of some rows is not finite"),
    ],
)
def test_losses_that_say_nothing_are_one_sentence(losses, words):
    with pytest.raises(LiftError, match=words):
        mean_and_variance(losses)


def test_a_loss_of_0_prefers_no_time():
    with pytest.raises(LiftError, match="the model's loss is 0 at every time"):
        density_of_times(TIMES, TIMES * 0, TIMES * 0, smoothing=1, floor=0.1)
