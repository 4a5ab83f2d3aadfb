"""The picture of `lift compare`: each run's score with its interval, and its difference from the first run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lift.cli.compared_runs import Pair
from lift.errors import LiftError
from lift.report.figure import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, dress_axes, new_figure, write_figure
from lift.statistics import Interval, bootstrap_interval, wilson_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = (INK, BLUE, ORANGE, GREEN, PURPLE)
_MARKERS = "osD^v"  # beside the colours, for print in grey


def draw_comparison(pairs: Sequence[Pair], first: str, path: Path) -> None:
    """Draw scores on the left and paired differences on the right, both with 95 % intervals.

    Args:
        pairs: of the first run and the others; shares, as they are drawn in per cent.
        first: name of the first run.
        path: where to write; the format follows the suffix. An existing file is replaced at once.
    Raises: LiftError if there are no pairs, no such format, or matplotlib is missing.
    """
    if not pairs:
        raise LiftError("no metric of these runs is a share, and the picture shows shares: leave --plot out.")
    lines = list(dict.fromkeys((pair.task, pair.metric) for pair in pairs))
    runs = [first, *dict.fromkeys(pair.run for pair in pairs)]
    figure = new_figure(height=1.5 + len(lines) * (0.25 + 0.2 * len(runs)))
    left, right = figure.subplots(1, 2, sharey=True)
    for line, (task, metric) in enumerate(lines):
        others = [pair for pair in pairs if (pair.task, pair.metric) == (task, metric)]
        _point(left, line, 0, len(runs), _mean(others[0].first), _interval(others[0].first), first)
        for pair in others:
            number, found = runs.index(pair.run, 1), pair.found
            _point(left, line, number, len(runs), _mean(pair.second), _interval(pair.second), pair.run)
            _point(right, line, number, len(runs), found.difference, found.interval, pair.run)
    sizes = {(pair.task, pair.metric): len(pair.first) for pair in pairs}
    left.set_yticks(range(len(lines)), [f"{task}\n{metric}, n = {sizes[task, metric]}" for task, metric in lines])
    left.set(ylim=(len(lines) - 0.5, -0.5), xlabel="Score (%)")
    right.axvline(0, color=GREY, linewidth=1)
    right.set(xlabel="Difference from the first run (points)")
    for axes, title in ((left, "Scores"), (right, "Paired differences")):
        dress_axes(axes, title, grid_axis="x", has_legend=False)
        axes.tick_params(axis="y", length=0)
    by_name = dict(zip(*reversed(left.get_legend_handles_labels()), strict=True))
    figure.legend(
        list(by_name.values()), list(by_name), loc="outside lower center",
        ncols=2 if max(map(len, runs)) < 40 else 1, frameon=False, labelcolor=INK,
    )  # fmt: skip
    write_figure(figure, path)


def _point(axes: Axes, line: int, run: int, num_runs: int, value: float, interval: Interval, name: str) -> None:
    """Draw a value and its interval, in per cent, on the place of its run within a line."""
    axes.errorbar(
        100 * value, line + 0.7 * ((run + 0.5) / num_runs - 0.5),
        xerr=[[100 * max(0.0, value - interval.low)], [100 * max(0.0, interval.high - value)]],
        marker=_MARKERS[run % len(_MARKERS)], color=_COLOURS[run % len(_COLOURS)], markersize=5, capsize=3,
        linestyle="none", label=name,
    )  # fmt: skip


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _interval(values: Sequence[float]) -> Interval:
    """Return Wilson's interval of verdicts, else that of the bootstrap over problems."""
    if all(value in (0, 1) for value in values):
        return wilson_interval(int(sum(values)), len(values))
    return bootstrap_interval(values)
