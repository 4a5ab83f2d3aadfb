"""From losses at several times to a density of times: where the loss is large or varies, it is drawn more often."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lift.errors import LiftError

Array = NDArray[np.float64]


def mean_and_variance(losses: Array) -> tuple[Array, Array]:
    """Return the mean g and the variance v over masks of losses (N, times, masks), each averaged over the N: (times,).

    v is unbiased, so there must be two masks. What is nan, an example without a maskable token, does not count.

    Raises:
        LiftError: nothing counts, or a loss is not finite.
    """
    counts = losses[~np.isnan(losses).all((1, 2))]
    if not len(counts):
        raise LiftError("no row has a response, so there is no loss to measure: check the columns of the data.")
    if not np.isfinite(counts).all():
        raise LiftError("the loss of some rows is not finite: the model's weights, or its dtype, are to blame.")
    return counts.mean(2).mean(0), counts.var(2, ddof=1).mean(0)


def density_of_times(
    times: Array, mean: Array, variance: Array, *, smoothing: int, floor: float
) -> tuple[Array, Array]:  # fmt: skip
    """Return points (times + 2,) from 0 to 1, and the density at each, linear between them, of integral 1.

        w = sqrt(v + g^2)                         the root of the mean square of the loss at a time
        w smoothed                                the mean of each w and its neighbours
        p = (1 - floor) w / (integral of w) + floor

    Among densities drawn from with the weight 1 / p, w makes the mean square of the weighted loss least. Beyond the
    first and the last time w stays what it is there. No p is below `floor`, so no weight above 1 / floor.

    Args:
        times: u, ascending, between 0 and 1.
        mean, variance: g and v there.
        smoothing: neighbours on each side; as many as there are on both, towards the ends.
        floor: in (0, 1], the share of draws that stay uniform.

    Raises:
        LiftError: the loss is 0 at every time.

    Source: P-POTS of StableDLLM (arXiv 2511.18159). Its published code fits w by the root of
        a u^r + b (1 - u)^q + (A exp(k u^m))^2, or takes it as it is, and draws no time outside of the grid.
    """
    root = smoothed(np.sqrt(variance + mean**2), smoothing)
    points = np.concatenate([[0.0], times, [1.0]])
    height = np.concatenate([root[:1], root, root[-1:]])
    area = integral(points, height)
    if area == 0:
        raise LiftError("the model's loss is 0 at every time, so none is to be preferred: train without time_density.")
    return points, (1 - floor) * height / area + floor


def smoothed(values: Array, neighbours: int) -> Array:
    """Return the mean of each value and of as many neighbours on either side, fewer near the ends: (n,) -> (n,)."""
    last = len(values) - 1
    reach = [min(neighbours, place, last - place) for place in range(len(values))]
    return np.array([values[place - near : place + near + 1].mean() for place, near in enumerate(reach)])


def mean_square_left(points: Array, density: Array, times: Array, mean: Array, variance: Array) -> float:
    """Return the mean square of the weighted loss of times drawn by a density, over that of uniform ones."""
    square = np.interp(points, times, variance + mean**2)
    return float(integral(points, square / density) / integral(points, square))


def integral(points: Array, heights: Array) -> float:
    """Return the integral of what is linear between its points, by trapezoids."""
    return float(((heights[1:] + heights[:-1]) / 2 * np.diff(points)).sum())
