"""Measure the variance of a gradient on pairs of rows, drawn from a data set and shared out among processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lift.analysis.variance import DrawGradient, GradientVariance, pair_moments
from lift.errors import LiftError

FEWEST_ROWS = 4


def choose_pairs(num_rows: int, wanted: int, seed: int) -> list[tuple[int, int]]:
    """Return pairs of rows of a data set of `num_rows`, no row twice: `wanted` rows in all, or as many as there are.

    Raises:
        LiftError: that makes fewer than two pairs.
    """
    count = min(wanted, num_rows)
    if count < FEWEST_ROWS:
        raise LiftError(f"the variance over data needs at least {FEWEST_ROWS} rows, got {count}: take more.")
    chosen = np.random.default_rng(seed).permutation(num_rows)[: count - count % 2]
    return [(int(first), int(second)) for first, second in chosen.reshape(-1, 2)]


def measure_variance(
    draw: DrawGradient, pairs: list[tuple[int, int]], *, num_times: int = 2, num_masks: int = 2, rank: int = 0,
    num_processes: int = 1, gather: Callable[[list[Any]], list[Any]] = list,
    advance: Callable[[int], object] = lambda count: None,
) -> GradientVariance:  # fmt: skip
    """Draw 2 x `num_times` x `num_masks` gradients for each pair of rows, and return how much they vary.

    Args:
        draw: of one method; see `lift.training.RowGradient`.
        pairs: of `choose_pairs`, the same for all methods that are compared, and on all processes.
        num_times: of each row, at least 2.
        num_masks: at each time, at least 2.
        rank, num_processes: which process this is, of how many.
        gather: puts the lists of all processes, in their order, into one.
        advance: told how many gradients were drawn.

    Raises:
        LiftError: a gradient is not finite.
    """

    def drawn(row: int, time: int, mask: int) -> Any:
        gradient = draw(row, time, mask)
        advance(1)
        return gradient

    own = [
        (number, pair_moments(drawn, pairs[number], num_times=num_times, num_masks=num_masks))
        for number in range(rank, len(pairs), num_processes)
    ]
    return GradientVariance([moments for _, moments in sorted(gather(own))])
