"""The picture of a training run: its losses and the learning modes of its rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lift.errors import LiftError
from lift.report.figure import BLUE, GREEN, GREY, ORANGE, dress_axes, needs_log_scale, new_figure, write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHARES = {"easy": GREEN, "middle": GREY, "hard": ORANGE}
# Fewer points than this are drawn as they are: a mean over neighbours would hide more than it shows.
MIN_POINTS_TO_SMOOTH = 40
_MOST_BARS, _MOST_MARKERS = 60, 30


class _Point(NamedTuple):
    before: int
    """Step of the entry before, or 0: what is logged as training goes on is a mean over the steps since then."""

    step: int
    value: float


def loss_curve(
    history: Sequence[Mapping[str, Any]], path: str | PathLike[str], *, subtitle: str = "", formats: Sequence[str] = ()
) -> None:
    """Draw what training and held-out tokens cost over optimiser steps and, if logged, the shares of the modes.

    Of training it is the mean negative log-probability of the trained tokens, "nll", which all methods log alike,
    whatever they weigh and divide by; "loss" where a trainer logs no other. Beside it stands the SFT loss of the
    held-out rows. Both are in nats a masked token; the first counts every token once, so that times with many masks
    weigh more, the second every time alike. Nothing is drawn where nothing was logged: a running mean covers whole
    windows alone, and a bar of shares the steps that it is a mean of.

    Args:
        history: the lines of a run's history.jsonl (`read_history`), which begin before training, or
            `trainer.state.log_history`: entries with "step" and "nll", "loss" or "eval_loss" (nats), and optionally
            "easy", "middle", "hard", the shares of rows in [0, 1].
        path: where to write; the format follows the suffix (.png, .svg, .pdf). An existing file is replaced
            at once.
        subtitle: a line on the run, below the title.
        formats: some of png, svg and pdf, in place of the suffix.
    Raises: LiftError if no entry has a loss, or matplotlib is missing.
    """
    name = "nll" if _series(history, "nll") else "loss"
    training, held_out = _series(history, name), _series(history, "eval_loss")
    if not training and not held_out:
        raise LiftError("loss_curve: history must have an entry with 'step' and 'loss', got none. Lower logging_steps.")
    shares = {mode: _series(history, mode) for mode in SHARES}
    has_shares = all(shares.values()) and len({tuple(step for _, step, _ in series) for series in shares.values()}) == 1

    figure = new_figure(height=5.4 if has_shares else 4.0)
    if has_shares:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, 1))
        _draw_shares(bottom, shares)
    else:
        top = bottom = figure.subplots()
    last = max(point.step for point in (*training, *held_out))
    if training:
        _draw_training(top, training, "training, NLL" if name == "nll" else "training, loss")
    if held_out:
        _draw_held_out(top, held_out, last)
    top.set_ylabel("Nats a token")
    values = [point.value for point in (*training, *held_out)]
    if needs_log_scale(values):
        _make_logarithmic(top)
    else:
        top.set_ylim(min(0.0, 1.05 * min(values)), 1.05 * max(values) or 1.0)
    dress_axes(top, "Loss during training", subtitle=subtitle)
    bottom.set_xlabel("Optimiser step")
    bottom.set_xlim(-0.01 * last, 1.01 * last)
    write_figure(figure, Path(path), formats)


def _draw_training(axes: Axes, points: Sequence[_Point], label: str) -> None:
    if len(points) == 1:  # a dot would hide what it is: the mean over these steps
        before, step, value = points[0]
        axes.plot([before, step], [value, value], color=BLUE, linewidth=2, label=label)
        return
    steps, values = [point.step for point in points], [point.value for point in points]
    smooth = _running_mean(values)
    if not smooth:
        axes.plot(steps, values, color=BLUE, linewidth=2, label=label)
        return
    reach = (len(values) - len(smooth)) // 2
    axes.plot(
        steps[reach : len(steps) - reach],
        smooth,
        color=BLUE,
        linewidth=2,
        label=f"{label} ({2 * reach + 1}-entry mean)",
    )
    axes.plot(steps, values, color=BLUE, linewidth=0.8, alpha=0.35)


def _draw_held_out(axes: Axes, points: Sequence[_Point], last: int) -> None:
    if len(points) == 1:
        _, step, value = points[0]
        label = f"held out, SFT loss at step {step}"
        axes.plot([0, last], [value, value], color=ORANGE, linewidth=1.5, linestyle="--", label=label)
        return
    axes.plot(
        [point.step for point in points], [point.value for point in points], color=ORANGE, linewidth=2, marker="o",
        markersize=5 if len(points) <= _MOST_MARKERS else 2.5, label="held out, SFT loss",
    )  # fmt: skip


def _draw_shares(axes: Axes, shares: Mapping[str, Sequence[_Point]]) -> None:
    """Draw bars as wide as the steps that they are means of, with no more of them than can be told apart."""
    num_entries = len(shares["easy"])
    num_bars = math.ceil(num_entries / math.ceil(num_entries / _MOST_BARS))
    ends = [num_entries * number // num_bars for number in range(num_bars + 1)]
    groups = [range(first, end) for first, end in pairwise(ends)]
    edges = [shares["easy"][group[0]].before for group in groups]
    widths = [shares["easy"][group[-1]].step - edge for group, edge in zip(groups, edges, strict=True)]
    floors = [0.0] * len(groups)
    for mode, colour in SHARES.items():
        heights = [100 * _mean_over_steps([shares[mode][entry] for entry in group]) for group in groups]
        axes.bar(edges, heights, widths, floors, align="edge", color=colour, label=mode, linewidth=0)
        floors = [floor + height for floor, height in zip(floors, heights, strict=True)]
    axes.set(ylim=(0, 100), yticks=(0, 50, 100), ylabel="Rows (%)")
    dress_axes(axes, "Learning mode of the rows", grid_axis=None)


def _mean_over_steps(points: Sequence[_Point]) -> float:
    steps = [point.step - point.before for point in points]
    return sum(point.value * count for point, count in zip(points, steps, strict=True)) / sum(steps)


def _make_logarithmic(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel("Nats a token (log scale)")


def _series(history: Iterable[Mapping[str, Any]], key: str) -> list[_Point]:
    """Return the finite values of a key in the order of their steps, the last of a step that has several."""
    values = {
        int(entry["step"]): float(entry[key])
        for entry in history
        if "step" in entry and isinstance(entry.get(key), (int, float)) and math.isfinite(entry[key])
    }
    steps = sorted(values)
    return [_Point(before, step, values[step]) for before, step in zip([0, *steps], steps, strict=False)]


def _running_mean(values: Sequence[float]) -> list[float]:
    """Return the means over windows of a tenth of the values, none that reaches beyond them; of a short series none."""
    if len(values) < MIN_POINTS_TO_SMOOTH:
        return []
    reach = len(values) // 20
    windows = (values[middle - reach : middle + reach + 1] for middle in range(reach, len(values) - reach))
    return [sum(window) / len(window) for window in windows]
