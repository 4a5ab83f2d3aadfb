"""The picture of a comparison: each outcome against steps and seconds, a line a method, its seeds behind it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lift.cli.comparison.outcomes import Point
from lift.cli.comparison.plan import Plan
from lift.cli.comparison.results import Results
from lift.report.figure import BLUE, GREEN, INK, ORANGE, PURPLE, dress_axes, needs_log_scale, new_figure, write_figure
from lift.statistics import paired_difference

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = (INK, BLUE, ORANGE, GREEN, PURPLE)
_MARKERS = "osD^v"  # beside the colours, for print in grey


class Style(NamedTuple):
    """Of an arm: the first method's longer runs have its colour, and broken lines."""

    colour: str
    marker: str
    line: str
    place: float
    """Points stand side by side by so many hundredths of the longest run, as many are of the same step."""


def draw_methods(plan: Plan, results: Results, path: Path, formats: Sequence[str]) -> None:
    """Draw the outcomes of all finished runs: on the left against optimiser steps, on the right against seconds.

    A thin line is a run, a thick one the mean over seeds, with the 95 % interval of the mean at its end. Of an outcome
    that is known before and after training alone, what came after is shown: nothing is known in between.

    Args:
        plan, results: of the comparison, with a run at least.
        path: where to write.
        formats: some of png, svg and pdf.
    Raises: LiftError if matplotlib is missing.
    """
    outcomes = results.outcomes
    figure = new_figure(height=0.5 + 2.1 * len(outcomes))
    panels = figure.subplots(len(outcomes), 2, sharex="col", sharey="row", squeeze=False)
    styles = arm_styles(plan)
    for (left, right), outcome in zip(panels, outcomes, strict=True):
        found = {
            arm: [points for run in results.of_arm(arm) if (points := run.points(outcome))] for arm in styles
        }  # fmt: skip
        is_curve = any(len(points) > 2 for runs in found.values() for points in runs)
        if not is_curve:
            found = {arm: _side_by_side(runs, styles[arm].place / 100, results) for arm, runs in found.items()}
        for arm, runs in found.items():
            if mean := mean_points(runs):
                _draw_arm((left, "step"), runs, mean, styles[arm], arm)
                _draw_arm((right, "seconds"), runs, mean, styles[arm], arm)
        values = [point.value for runs in found.values() for points in runs for point in points]
        for axes in (left, right):
            dress_axes(axes, "", has_legend=False)
            axes.set_title("")
        if needs_log_scale(values) and not outcome.more_is_better:
            left.set_yscale("log")
        elif values and min(values) == max(values):
            left.set_ylim(values[0] - 1, values[0] + 1)  # else matplotlib would magnify nothing
        left.set_ylabel(outcome.label)
    panels[-1][0].set_xlabel("Optimiser step")
    panels[-1][1].set_xlabel("Seconds of training")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(5, len(labels)), frameon=False, labelcolor=INK)
    write_figure(figure, path, formats)


def arm_styles(plan: Plan) -> dict[str, Style]:
    """Return the style of each arm, by its name."""
    added, styles = list(dict.fromkeys(plan.equal_compute.values())), {}
    for number, arm in enumerate(arm for arm in plan.arms if arm.name not in added):
        colour, marker = _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]
        styles[arm.name] = Style(colour, marker, "-", 1.5 * number)
    for name, line in zip(added, ("--", ":", "-.") * len(added), strict=False):
        styles[name] = Style(_COLOURS[0], _MARKERS[0], line, 0.0)
    return styles


def _side_by_side(runs: Sequence[Sequence[Point]], place: float, results: Results) -> list[list[Point]]:
    """Return the last points of an arm's runs, moved to the right by a share of the longest run."""
    steps, seconds = (place * max(getattr(run, name) for run in results.runs) for name in ("steps", "seconds"))
    return [[Point(p.step + steps, p.seconds + seconds, p.value) for p in points[-1:]] for points in runs]


def _draw_arm(
    panel: tuple[Axes, str], runs: Sequence[Sequence[Point]], mean: Sequence[Point], style: Style, arm: str
) -> None:
    """Draw the runs of an arm and their mean; of points alone, ticks for the runs."""
    axes, name = panel
    for points in runs:
        places, values = [getattr(point, name) for point in points], [point.value for point in points]
        axes.plot(
            places, values, color=style.colour, linewidth=0.7, alpha=0.35, marker="_" if len(points) == 1 else ""
        )  # fmt: skip
    places, values = [getattr(point, name) for point in mean], [point.value for point in mean]
    axes.plot(places, values, color=style.colour, linestyle=style.line, linewidth=1.8)
    ends = paired_difference([points[-1].value for points in runs]).interval
    axes.errorbar(
        places[-1], values[-1], yerr=None if ends is None else [[values[-1] - ends.low], [ends.high - values[-1]]],
        color=style.colour, marker=style.marker, linestyle=style.line, markersize=4.5, elinewidth=1.2,
        capsize=3, label=arm,
    )  # fmt: skip


def mean_points(runs: Sequence[Sequence[Point]]) -> list[Point]:
    """Return the mean of value and seconds at each step that all runs have."""
    by_step = [{point.step: point for point in points} for points in runs]
    steps = sorted(set.intersection(*(set(points) for points in by_step))) if by_step else []
    return [
        Point(
            step, sum(points[step].seconds for points in by_step) / len(by_step),
            sum(points[step].value for points in by_step) / len(by_step),
        )
        for step in steps
    ]  # fmt: skip
