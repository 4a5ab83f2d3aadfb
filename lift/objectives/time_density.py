"""P-POTS: draw more often the times at which the loss is large or varies, and weight each by one over its density."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class TimeDensity:
    """A density over the times u in [0, 1], before their floor, that is linear between points.

    It turns a uniform draw into one by the density, through the inverse of the distribution function: monotone, so
    that times which are spread evenly over a step or over a row's blocks stay so, each part as likely as before.

    Args:
        points: ascending from 0 to 1.
        density: at each point, above 0; it is scaled to an integral of 1.

    Source: P-POTS of StableDLLM (arXiv 2511.18159). Its published code interpolates the distribution function linearly
        between points, so that times do not quite follow the density that they are weighted by; here both are exact.
    """

    def __init__(self, points: Sequence[float], density: Sequence[float]) -> None:
        self.points = torch.tensor(points, dtype=torch.float64)  # (P,)
        height = torch.tensor(density, dtype=torch.float64)
        area = (height[1:] + height[:-1]) / 2 * self.points.diff()
        self.density = height / area.sum()  # (P,)
        self._cumulative = torch.cat([area.new_zeros(1), (area / area.sum()).cumsum(0)])
        self._slope = self.density.diff() / self.points.diff()  # (P - 1,)

    def draw(self, uniform: Tensor, *, max_importance: float = 1e6) -> tuple[Tensor, Tensor]:
        """Return the times u (...) that uniform draws in [0, 1) stand for, and min(1 / density, max_importance) there.

        Both in the dtype of `uniform`, a tensor of the host; computed in float64. Of a density that is the same
        everywhere they are, for float32 draws that are multiples of 2^-24, `uniform` itself and 1, to the bit.
        """
        target = uniform.double()
        cell = torch.searchsorted(self._cumulative, target, right=True).clamp(1, len(self._slope)) - 1
        area, left, slope = target - self._cumulative[cell], self.density[cell], self._slope[cell]
        # The root of left x + slope x^2 / 2 = area, in the form that neither cancels nor divides by a slope of 0.
        right = (left.square() + 2 * slope * area).clamp(min=0).sqrt()  # the density where the root lies
        inside = 2 * area / (left + right)
        time = torch.minimum(self.points[cell] + inside, self.points[cell + 1])
        importance = (1 / right).clamp(max=max_importance)
        return time.to(uniform.dtype), importance.to(uniform.dtype)
