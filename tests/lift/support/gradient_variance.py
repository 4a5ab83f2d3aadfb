"""Variances of gradients by the textbook's formulas, and a record of some."""

from __future__ import annotations

import numpy as np

from lift.analysis import GradientVariance, VarianceRecord

SETTINGS = {
    "weights": "w", "data": "d", "num_parameters": 4840, "num_rows": 4, "num_times": 2, "num_masks": 2,
    "block_size": None, "seed": 42,
}  # fmt: skip


def nested_variances(gradients: np.ndarray) -> tuple[float, float, float]:
    """Components of a balanced nested design by its mean squares; gradients (rows, times, masks, P)."""
    rows, times, masks, _ = gradients.shape
    of_time, of_row, of_all = (gradients.mean(axes) for axes in ((2,), (1, 2), (0, 1, 2)))
    within = ((gradients - of_time[:, :, None]) ** 2).sum() / (rows * times * (masks - 1))
    between_times = masks * ((of_time - of_row[:, None]) ** 2).sum() / (rows * (times - 1))
    between_rows = times * masks * ((of_row - of_all) ** 2).sum() / (rows - 1)
    return within, (between_times - within) / masks, (between_rows - between_times) / (times * masks)


def record_of(num_pairs: int = 20) -> VarianceRecord:
    rng = np.random.default_rng(0)
    first, second = (np.sort(rng.uniform(1, 9, size=(num_pairs, 4)), 1)[:, ::-1] * scale for scale in (1, 3))
    second[:, 3] -= 6  # a mean gradient that may be nothing
    return VarianceRecord(SETTINGS, {"sft": GradientVariance(first), "lift3": GradientVariance(second)})
