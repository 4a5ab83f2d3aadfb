"""Figures: paired differences with intervals, the primary against decoding steps, likelihood against the primary."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.study.comparisons import Comparison, Runs, compare, values_of
from benchmarks.study.domain import Domain
from benchmarks.study.plan import Plan
from benchmarks.study.tables import REFERENCE
from lift.report.figure import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, dress_axes, new_figure, write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colour says which family a method is of, the marker which of it.
_STYLES = {
    "sft": (INK, "o"), "sft_x1.22": (INK, "s"), "sft_x1.34": (INK, "D"), "lift3": (BLUE, "o"), "lift2": (BLUE, "s"),
    "hard": (ORANGE, "o"), "gift": (GREEN, "o"), "middle": (GREY, "o"), "reversed": (PURPLE, "o"),
}  # fmt: skip


def write_figures(runs: Runs, domain: Domain, plan: Plan, folder: Path) -> list[Path]:
    """Write the figures as PNG, a panel for each setting, and return their paths."""
    primary = domain.outcomes[0]
    drawings = {
        "differences": _differences,
        f"{primary}-by-steps": _by_steps,
        f"nll-against-{primary}": _against_nll,
    }
    paths = []
    for name, draw in drawings.items():
        figure = new_figure(height=3.3 * ((len(plan.settings) + 1) // 2))
        panels = figure.subplots((len(plan.settings) + 1) // 2, min(2, len(plan.settings)), squeeze=False).flat
        for axes, setting in zip(panels, plan.settings, strict=False):
            draw(axes, runs, setting, domain, plan)
            dress_axes(axes, setting, has_legend=False, grid_axis="x" if name == "differences" else "y")
        if name != "differences":
            by_name = dict(zip(*reversed(figure.axes[0].get_legend_handles_labels()), strict=True))
            figure.legend(
                [*by_name.values()], [*by_name], loc="outside lower center", ncols=5, frameon=False, labelcolor=INK
            )  # fmt: skip
        paths.append(folder / f"{name}.png")
        write_figure(figure, paths[-1])
    return paths


def _differences(axes: Axes, runs: Runs, setting: str, domain: Domain, plan: Plan) -> None:
    primary = domain.outcomes[0]
    methods = [method for method in plan.methods if method != REFERENCE]
    for line, method in enumerate(methods):
        found = compare(runs, Comparison(setting, primary, method, REFERENCE))
        if found is None:
            continue
        colour, marker = _STYLES[method]
        axes.plot(found.differences, [line] * len(found.differences), "|", color=GREY, markersize=9)
        mean, low, high, _ = found.by_start
        if np.isfinite(low):
            axes.plot([low, high], [line, line], color=colour, linewidth=2)
        axes.plot(mean, line, marker, color=colour)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(methods)), methods)
    axes.set(ylim=(len(methods) - 0.5, -0.5), xlabel=f"{primary} less SFT of equal steps, points")


def _by_steps(axes: Axes, runs: Runs, setting: str, domain: Domain, plan: Plan) -> None:
    by_steps = domain.decoding_steps(plan.settings[setting])
    steps = [*by_steps.values()]
    for method, means in _means(runs, setting, plan.methods, tuple(by_steps)):
        colour, marker = _STYLES[method]
        axes.plot(steps, means, color=colour, marker=marker, linewidth=1.2, label=method)
    axes.set(xscale="log", xlabel="decoding steps", ylabel=f"{domain.outcomes[0]}, %")
    axes.set_xticks(steps, [str(count) for count in steps])
    axes.minorticks_off()


def _against_nll(axes: Axes, runs: Runs, setting: str, domain: Domain, plan: Plan) -> None:
    primary = domain.outcomes[0]
    for method, (nll, share) in _means(runs, setting, plan.methods, ("nll", primary)):
        colour, marker = _STYLES[method]
        axes.plot(nll, share, color=colour, marker=marker, linestyle="none", label=method)
    axes.set(xlabel="NLL of masked tokens, nats", ylabel=f"{primary}, %")
    axes.locator_params(axis="x", nbins=5)


def _means(
    runs: Runs, setting: str, methods: Iterable[str], outcomes: tuple[str, ...]
) -> Iterable[tuple[str, list[float]]]:
    """Yield the means of outcomes of each method that has runs."""
    for method in methods:
        values = [[*values_of(runs, setting, method, outcome).values()] for outcome in outcomes]
        if values[0]:
            yield method, [float(np.mean(of_outcome)) for of_outcome in values]
