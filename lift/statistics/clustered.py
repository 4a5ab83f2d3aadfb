"""Means of tokens that hang together within an example, with intervals that allow for it, in constant memory."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class ClusteredMeans:
    """Means over tokens of G groups, from the sums of each example.

    The interval is that of a ratio of sums over examples, by its linearisation (Cochran, Sampling techniques, chapter
    6): tokens of one example say less than as many of different ones. Only sums over examples are kept.

    Args:
        num_groups: G.
    """

    def __init__(self, num_groups: int) -> None:
        self.counts = np.zeros(num_groups)
        """(G,) tokens."""

        self._sums, self._examples = np.zeros(num_groups), np.zeros(num_groups)
        self._squares, self._products, self._squared_counts = (np.zeros(num_groups) for _ in range(3))

    def add(self, sums: Array, counts: Array) -> None:
        """Add whole examples: the sum of the values and the number of the tokens of each, (E, G) both."""
        self._sums += sums.sum(0)
        self.counts += counts.sum(0)
        self._examples += (counts > 0).sum(0)
        self._squares += (sums**2).sum(0)
        self._products += (sums * counts).sum(0)
        self._squared_counts += (counts**2).sum(0)

    def means(self) -> Array:
        """Return the mean of each group (G,); NaN without a token."""
        with np.errstate(invalid="ignore"):
            return self._sums / self.counts

    def half_widths(self, confidence: float = 0.95) -> Array:
        """Return half of the width of each mean's interval (G,); NaN with fewer than two examples."""
        means = self.means()
        with np.errstate(invalid="ignore", divide="ignore"):
            residuals = self._squares - 2 * means * self._products + means**2 * self._squared_counts
            correction = np.where(self._examples > 1, self._examples / (self._examples - 1), np.nan)
            errors = np.sqrt(np.maximum(residuals, 0) * correction) / self.counts
        return NormalDist().inv_cdf(0.5 + confidence / 2) * errors


def sums_by_example(example: NDArray[np.int64], group: NDArray[np.int64], values: Array, num_groups: int) -> Array:
    """Return the sum of values (N,) of each example and group, (E, G), for the E different examples, ascending."""
    _, row = np.unique(example, return_inverse=True)
    num_rows = int(row.max()) + 1 if len(row) else 0
    cells = np.bincount(row * num_groups + group, weights=values, minlength=num_rows * num_groups)
    return cells.reshape(num_rows, num_groups).astype(np.float64)
