"""The variance of gradients as a figure and as the cells of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lift.analysis.figures import Drawing
from lift.analysis.variance import PARTS, Estimate
from lift.report.figure import BLUE, GREEN, GREY, INK, ORANGE, dress_axes, new_figure

if TYPE_CHECKING:
    from lift.analysis.variance_record import VarianceRecord

LETTERS = {"masks": "A, masks", "times": "B, times", "data": "C, data"}
HEADER = ["method", *LETTERS.values(), "variance", "squared mean gradient", "noise scale (rows)"]
_STYLES = {"masks": (BLUE, "o"), "times": (ORANGE, "s"), "data": (GREEN, "D")}  # the markers for print in grey


def variance_drawing(record: VarianceRecord) -> Drawing:
    """Return the figure: the three parts of each method, over the whole variance of the first."""
    first, base = next(iter(record.methods.items()))
    figure = new_figure(height=1.9 + 0.55 * len(record.methods))
    figure.set_size_inches(5.2, 1.9 + 0.55 * len(record.methods))
    axes = figure.subplots()
    places = np.arange(len(record.methods))
    for step, part in enumerate(PARTS):
        found = [variance.relative(base, part) for variance in record.methods.values()]
        values = np.array([estimate.value for estimate in found])
        ends = np.array([estimate.interval for estimate in found])
        lengths = np.clip([values - ends[:, 0], ends[:, 1] - values], 0, None)  # a percentile may lie beyond a mean
        colour, marker = _STYLES[part]
        axes.errorbar(
            100 * values, places + 0.22 * (step - 1), xerr=100 * lengths, color=colour, marker=marker, linestyle="none",
            markersize=5, linewidth=1.6, capsize=3, label=LETTERS[part],
        )  # fmt: skip
    axes.axvline(0, color=GREY, linewidth=1, zorder=0)
    axes.set_yticks(places, list(record.methods))
    axes.set(xlabel=f"Percent of the whole variance of {first}", ylim=(len(places) - 0.5, -0.5))
    dress_axes(axes, "", grid_axis="x", has_legend=False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, labelcolor=INK, fontsize=9)
    return Drawing(
        "variance", "Variance of the gradient",
        "How much the gradient of one row varies (squared distance from its mean, summed over all trained "
        "parameters) by what is drawn: A, by the mask, given the row and its time; B, by the time, given the row; C, "
        "by the row. A step of n rows drawn apart has an n-th of it. 95 % intervals over pairs of rows; estimates are "
        "unbiased, so what is near 0 may come out below it.",
        figure,
    )  # fmt: skip


def variance_rows(record: VarianceRecord) -> list[list[str]]:
    """Return a row of cells for each method, under `HEADER`: shares of its own variance, and numbers."""
    return [
        [
            name, *(_percent(variance.share(part)) for part in PARTS), _number(variance.total),
            _number(variance.signal), "not known" if (scale := variance.noise_scale) is None else _number(scale),
        ]
        for name, variance in record.methods.items()
    ]  # fmt: skip


def _percent(estimate: Estimate) -> str:
    value, (low, high) = estimate
    return f"{100 * value:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def _number(estimate: Estimate) -> str:
    value, (low, high) = estimate
    return f"{value:.3g} ({low:.3g} to {high:.3g})"
