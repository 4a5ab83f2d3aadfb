"""Results as pictures: time and memory against what varies, with the exponent that a power law fits to each line."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.ops.results import Results, Row, grouped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# What varies on the horizontal axis: its name, and the facts that must be alike on one picture.
AXES = {"N": "tokens", "V": "vocabulary", "masked": "share of masked tokens"}
_ALIKE = {"N": ("model", "masked"), "V": ("N", "masked", "D"), "masked": ("model", "N")}
_QUANTITIES: dict[str, Callable[[Row], float | None]] = {
    "median, ms": lambda row: float(row.median_ms),
    "extra memory at the peak, MiB": lambda row: row.facts.get("peak_mib"),
}


def write_plots(results: Results, folder: Path) -> list[Path]:
    """Write a PNG for each axis, work and head of which there are two points or more; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for axis in AXES:
        for alike, rows in grouped(results.rows, *_ALIKE[axis], "work", "head", "dtype").items():
            if len({row.facts[axis] for row in rows}) > 1:
                name = "-".join(
                    f"{value:g}" if isinstance(value, float) else str(value).removeprefix("torch.") for value in alike
                )
                paths.append(folder / f"{name}-by-{axis}.png")
                _write_plot(rows, axis, paths[-1])
    return paths


def exponent(points: list[tuple[float, float]]) -> float:
    """Return b of the least-squares fit y = a x^b; nan for fewer than two different x."""
    logs = [(math.log(x), math.log(y)) for x, y in points if x > 0 and y > 0]
    mean_x, mean_y = (sum(values) / len(logs) for values in zip(*logs, strict=True)) if logs else (0.0, 0.0)
    spread = sum((x - mean_x) ** 2 for x, _ in logs)
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / spread if spread else math.nan


def _write_plot(rows: list[Row], axis: str, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.2), dpi=130, layout="constrained", facecolor="white")
    for place, (label, value) in zip(figure.subplots(1, 2), _QUANTITIES.items(), strict=True):
        _draw(place, rows, axis, value)
        place.set(xlabel=AXES[axis], ylabel=label)
    first = rows[0]
    head = "" if first.work == "statistics" else f", {first.head} head"
    figure.suptitle(f"{first.work}{head}: {_what(first, axis)}", x=0.01, ha="left", fontweight="bold")
    lines, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Software": None})


def _what(row: Row, axis: str) -> str:
    facts = {
        "N": f"N = {row.N}", "masked": f"{row.masked:.0%} masked", "D": f"D = {row.D}", "V": f"V = {row.V}",
    }  # fmt: skip
    return ", ".join(words for name, words in facts.items() if name != axis)


def _draw(axes: Axes, rows: list[Row], axis: str, value: Callable[[Row], float | None]) -> None:
    for provider, of_provider in grouped(rows, "provider").items():
        points = sorted((row.facts[axis], y) for row in of_provider if (y := value(row)) is not None)
        if points:
            own = of_provider[0].own
            mark = "~" if any(row.inaccuracy for row in of_provider) else ""
            axes.plot(
                *zip(*points, strict=True), marker="o" if own else "x", linewidth=2.5 if own else 1.2,
                linestyle="--" if mark else "-", label=f"{mark}{provider}: {axis}^{exponent(points):.2f}",
            )  # fmt: skip
    axes.set(xscale="log", yscale="log")
    ticks = sorted({row.facts[axis] for row in rows})
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#E6E8EB", linewidth=0.8)
