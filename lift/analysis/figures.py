"""The figures of an analysis, by matplotlib: each readable on a page as narrow as a telephone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lift.analysis.summary import Cells, Gain, Grid, GroupMeans, Summary
from lift.learnability.bands import BANDS, STEPS
from lift.objectives import MODES, choose_order
from lift.report.figure import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, dress_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS, _MARKERS = (INK, BLUE, ORANGE, GREEN, PURPLE), "osD^v"  # the markers for print in grey
_WIDTH, _HEIGHT = 5.2, 3.9
_LEAST = 20  # tokens of a point of the calibration
_TIMES = {1 / 16: "1/16", 1 / 8: "1/8", 1 / 4: "1/4", 1 / 2: "1/2", 2**-0.5: "0.71", 2**-0.25: "0.84"}


class Drawing(NamedTuple):
    """A figure, and what it shows in words."""

    name: str
    """Of its files."""

    title: str
    caption: str
    figure: Figure


def drawings(summary: Summary) -> Iterator[Drawing]:
    """Yield the figures of one table."""
    yield Drawing(
        "confidence", "Confidence against mask ratio",
        "Mean probability of the most likely token, by how often the gold token occurs in the responses; 95 % "
        "intervals over examples. It is the quantity of LIFT's published script.",
        _by_band(summary.groups, "confidence", summary.ratios, "Confidence"),
    )  # fmt: skip
    yield Drawing(
        "gold_probability", "Probability of the gold token",
        "Mean probability of the token that was masked, by how often it occurs; 95 % intervals over examples.",
        _by_band(summary.groups, "gold", summary.ratios, "Probability of the gold token"),
    )  # fmt: skip
    yield Drawing(
        "frequency", "Frequency and mask ratio",
        "Mean gold log-probability, in nats; hatched where no token has this frequency.",
        _heat_map(summary.heat, summary.ratios, "Gold log-probability (nats)", "viridis"),
    )  # fmt: skip
    if summary.kept.counts.any():
        yield Drawing(
            "kept", "What lift3 keeps",
            "Share of the masked tokens that lift3 trains at each time, the rest being put back, by LIFT's own rule "
            "on the masks of the table; a random choice would keep the same share of every band. Left out: times above "
            "which the table has no ratio that LIFT can draw.",
            _kept(summary),
        )  # fmt: skip
    yield Drawing(
        "calibration", "Calibration",
        "How often the most likely token is the gold one, by its probability; on the diagonal the model is as right "
        f"as it is sure. Bins of fewer than {_LEAST} tokens are left out.",
        _calibration(summary),
    )  # fmt: skip


def gain_drawings(gain: Gain, ratios: list[float]) -> Iterator[Drawing]:
    """Yield the figures of what a second table gained over a first."""
    figure = _by_band(gain.groups, "log_prob", ratios, "Gain (nats)")
    figure.axes[0].axhline(0, color=GREY, linewidth=1, zorder=0)
    yield Drawing(
        "gain", "What the second gained, where",
        "Mean difference of gold log-probability, second less first, on the same masked tokens; 95 % intervals over "
        "examples.",
        figure,
    )  # fmt: skip
    yield Drawing(
        "gain_frequency", "Gain by frequency and mask ratio",
        "Mean difference of gold log-probability, in nats: orange where the second is better, purple where the first "
        "is.",
        _heat_map(gain.heat, ratios, "Gain (nats)", "PuOr_r"),
    )  # fmt: skip


def _by_band(groups: GroupMeans, name: str, ratios: list[float], label: str) -> Figure:
    figure = _new_figure()
    axes = figure.subplots()
    means, half_widths = groups.means(name), groups.half_widths(name)
    for band, text in enumerate(BANDS):
        (at,) = np.nonzero(groups.counts()[:, band])
        if len(at):
            axes.errorbar(
                np.array(ratios)[at], means[at, band], yerr=np.nan_to_num(half_widths[at, band]), label=text,
                color=_COLOURS[band], marker=_MARKERS[band], markersize=5, linewidth=1.6, capsize=3,
            )  # fmt: skip
    axes.set(xlabel="Mask ratio", ylabel=label)
    axes.set_xticks(ratios, [_number(ratio) for ratio in ratios])
    axes.tick_params(axis="x", labelsize=8)
    _finish(figure, axes)
    return figure


def _heat_map(cells: Cells, ratios: list[float], label: str, colours: str) -> Figure:
    figure = _new_figure()
    axes = figure.subplots()
    values: Grid = cells.means()
    is_used = cells.counts.sum(0) > 0
    first, last = int(is_used.argmax()), len(is_used) - int(is_used[::-1].argmax())
    shown = values[:, first:last]
    limit = np.nanmax(np.abs(shown)) or 1.0
    limits = {"vmin": -limit, "vmax": limit} if colours.startswith("PuOr") else {"vmax": 0.0}
    axes.patch.set(hatch="////", edgecolor=GREY, linewidth=0)
    image = axes.imshow(shown, aspect="auto", origin="lower", cmap=colours, **limits)
    axes.set(xlabel="Share of the responses' tokens (%)", ylabel="Mask ratio")
    axes.set_yticks(range(len(ratios)), [_number(ratio) for ratio in ratios])
    edges = [step for step in range(first, last + 1) if step % STEPS == 0 or last - first <= STEPS]
    axes.set_xticks([step - first - 0.5 for step in edges], [f"{100 * 10 ** (-step / STEPS):.2g}" for step in edges])
    axes.invert_xaxis()
    bar = figure.colorbar(image, ax=axes, label=label)
    bar.outline.set_visible(False)
    bar.ax.tick_params(color=GREY, labelcolor=INK)
    bar.ax.yaxis.label.set_color(INK)
    dress_axes(axes, "", grid_axis=None, has_legend=False)
    return figure


def _kept(summary: Summary) -> Figure:
    figure = _new_figure()
    axes = figure.subplots()
    shares, counts = summary.kept.means(), summary.kept.counts
    (times,) = np.nonzero(counts.any(1))
    bands = [band for band in range(len(BANDS)) if counts[:, band].any()]
    for place, band in enumerate(bands):
        offset = 0.7 * ((place + 0.5) / len(bands) - 0.5)
        axes.plot(
            np.arange(len(times)) + offset, 100 * shares[times, band], color=_COLOURS[band], marker=_MARKERS[band],
            linestyle="none", markersize=6, label=BANDS[band],
        )  # fmt: skip
    overall = 100 * np.nansum(shares * counts, 1)[times] / counts.sum(1)[times]
    for place, share in enumerate(overall):
        axes.hlines(share, place - 0.42, place + 0.42, color=GREY, linewidth=1.5, zorder=0)
    axes.set(ylim=(-3, 103), ylabel="Kept (%)", xlabel="Time t, and the mode of lift3; line: all tokens")
    labels = [f"{_number(summary.ratios[time])}\n{mode_at(summary.ratios[time])}" for time in times]
    axes.set_xticks(range(len(times)), labels)
    _finish(figure, axes)
    return figure


def _calibration(summary: Summary) -> Figure:
    figure = _new_figure()
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, zorder=0)
    ratios = summary.ratios
    shown = sorted({0, len(ratios) // 2, len(ratios) - 1})
    for place, ratio in enumerate(shown):
        (bins,) = np.nonzero(summary.bin_correct.counts[ratio] >= _LEAST)
        axes.plot(
            summary.bin_confidence.means()[ratio, bins], summary.bin_correct.means()[ratio, bins],
            color=_COLOURS[1 + place], marker=_MARKERS[1 + place], markersize=5, linewidth=1.6,
            label=f"ratio {_number(ratios[ratio])}",
        )  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="Confidence", ylabel="Share correct")
    _finish(figure, axes)
    return figure


def mode_at(time: float) -> str:
    """Return the mode of lift3 at a time: easy, middle or hard."""
    import torch

    order = int(choose_order(torch.tensor([time]), "lift3"))
    return next(name for name, mode in MODES.items() if mode == order)


def _new_figure() -> Figure:
    figure = new_figure(height=_HEIGHT)
    figure.set_size_inches(_WIDTH, _HEIGHT)
    return figure


def _finish(figure: Figure, axes: Axes) -> None:
    dress_axes(axes, "", has_legend=False)
    handles, labels = axes.get_legend_handles_labels()
    columns = 2 if len(labels) > 3 else max(1, len(labels))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, labelcolor=INK, fontsize=9)


def _number(ratio: float) -> str:
    named = next((text for value, text in _TIMES.items() if math.isclose(value, ratio)), None)
    return named or f"{ratio:.2g}"
