"""How noisy a gradient is, and by which draw: its variance over masks, over times and over data.

A gradient g is that of a row, at a time, under a mask, each drawn given those before it. With |.| the norm over all
trained parameters, its variance is by the law of total variance

    E |g - E g|^2  =  E |g - E[g | row, time]|^2                   A, over masks
                    + E |E[g | row, time] - E[g | row]|^2          B, over times
                    + E |E[g | row] - E g|^2                       C, over data

The squared norm of a conditional mean is the expected inner product of two gradients that share what is given and
nothing else. So each pair of rows, at several times of each and under several masks at each time, gives unbiased
estimates: of one pair they are those of the analysis of variance of a nested design.

Source: the three parts, "Bringing stability to diffusion" (StableDLLM, arXiv 2511.18159); the estimates, Searle,
Casella and McCulloch, "Variance components" (1992), chapter 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lift.errors import LiftError
from lift.statistics import Interval, bootstrap_interval

Gradient = Sequence[Tensor]
# (row, number of the time, number of the mask) -> the gradient, in tensors that nobody else holds
DrawGradient = Callable[[int, int, int], Gradient]
Values = NDArray[np.float64]

PARTS = ("masks", "times", "data")
"""A, B and C."""


def pair_moments(draw: DrawGradient, rows: tuple[int, int], *, num_times: int, num_masks: int) -> list[float]:
    """Return the mean squared norm of a gradient, and mean inner products of two: four numbers of one pair of rows.

    The products are of gradients of one row and time under different masks, of one row at different times, and of the
    two rows. No gradient is kept: sums are formed as they come, in float32 at least, so that four tensors of each
    trained parameter's size lie in memory at most.

    Args:
        draw: gives a gradient; every pair of arguments must have draws of its own.
        rows: drawn independently of each other.
        num_times: of each row, at least 2.
        num_masks: at each time, at least 2.

    Raises:
        LiftError: a gradient is not finite.
    """
    squares = [0.0, 0.0, 0.0, 0.0]  # of single gradients, and of their sums over a time, a row and the pair
    of_pair: list[Tensor] | None = None
    for row in rows:
        of_row: list[Tensor] | None = None
        for time in range(num_times):
            of_time: list[Tensor] | None = None
            for mask in range(num_masks):
                gradient = draw(row, time, mask)
                square = _squared_norm(gradient)
                if not math.isfinite(square):
                    raise LiftError(
                        f"the gradient of row {row} is not finite, so it has no variance: look at this row, and for a "
                        "model of half precision at --dtype float32."
                    )
                squares[0] += square
                of_time = _sum(of_time, gradient)
            assert of_time is not None
            squares[1] += _squared_norm(of_time)
            of_row = _sum(of_row, of_time)
        assert of_row is not None
        squares[2] += _squared_norm(of_row)
        of_pair = _sum(of_pair, of_row)
    assert of_pair is not None
    squares[3] = _squared_norm(of_pair)
    return list(_moments(squares, (num_masks, num_times, len(rows))))


def _moments(squares: Sequence[float], sizes: Sequence[int]) -> Iterator[float]:
    """Yield the moments: the square of a sum, less the squares of its parts, is twice the products of two parts."""
    num_sums = math.prod(sizes)
    yield squares[0] / num_sums
    drawn = 1  # gradients in one part of the sum
    for (below, square), size in zip(pairwise(squares), sizes, strict=True):
        num_sums //= size
        yield (square - below) / (num_sums * size * (size - 1) * drawn**2)
        drawn *= size


def _sum(total: list[Tensor] | None, part: Gradient) -> list[Tensor]:
    if total is None:
        return [tensor.to(torch.promote_types(tensor.dtype, torch.float32)) for tensor in part]
    for one, other in zip(total, part, strict=True):
        one.add_(other)
    return total


def _squared_norm(tensors: Gradient) -> float:
    """One number read from the device: no tensor of the size of a parameter is made."""
    norms = [torch.linalg.vector_norm(t, dtype=torch.promote_types(t.dtype, torch.float32)) for t in tensors]
    return float(torch.stack(norms).cpu().double().square().sum())


class Estimate(NamedTuple):
    """A number with its 95 % interval."""

    value: float
    interval: Interval


class GradientVariance:
    """Variance of one method's gradient, from `pair_moments` (P, 4) of P pairs of rows, at least 2.

    Estimates are means over pairs, or quotients of such means; their intervals are by the bootstrap over pairs. They
    are unbiased (the quotients nearly), so that a part that is near 0 may come out below it.
    """

    def __init__(self, moments: Sequence[Sequence[float]] | Values) -> None:
        self.moments: Values = np.asarray(moments, dtype=np.float64)
        single, of_time, of_row, of_data = self.moments.T
        self._parts = {"masks": single - of_time, "times": of_time - of_row, "data": of_row - of_data}
        self._total, self._signal = single - of_data, of_data

    @property
    def total(self) -> Estimate:
        """A + B + C."""
        return _estimate(self._total)

    @property
    def signal(self) -> Estimate:
        """The squared norm of the mean gradient."""
        return _estimate(self._signal)

    def part(self, name: str) -> Estimate:
        """Return A ("masks"), B ("times") or C ("data")."""
        return _estimate(self._parts[name])

    def share(self, name: str) -> Estimate:
        """Return that part over the total."""
        return _estimate(self._parts[name], self._total)

    def relative(self, other: GradientVariance, name: str | None = None) -> Estimate:
        """Return the total, or a part of it, over the total of another method on the same pairs of rows."""
        return _estimate(self._total if name is None else self._parts[name], other._total)

    @property
    def noise_scale(self) -> Estimate | None:
        """The variance over the squared norm of the mean: the rows of a step whose noise is as large as its signal.

        None where the interval of that norm reaches 0, so that nothing is known of the quotient.

        Source: the simple noise scale of McCandlish et al. (arXiv 1812.06162), section 2.2.
        """
        return _estimate(self._total, self._signal) if self.signal.interval.low > 0 else None


def _estimate(values: Values, over: Values | None = None) -> Estimate:
    sizes = np.ones_like(values) if over is None else over
    if not sizes.sum():  # no gradient at all
        return Estimate(0.0, Interval(0.0, 0.0))
    return Estimate(float(values.sum() / sizes.sum()), bootstrap_interval(values, sizes))
