"""Results as pictures: time and memory against what varies, with the exponent that a power law fits to each line."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.ops.cases import WITHOUT_GRADIENT
from benchmarks.ops.results import Results, Row, grouped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# What varies on the horizontal axis: its name, and the facts that must be alike on one picture.
AXES = {"N": "tokens", "V": "vocabulary", "masked": "share of masked tokens"}
_ALIKE = {"N": ("model", "masked"), "V": ("N", "masked", "D"), "masked": ("model", "N")}
# What is drawn: its name in the legend, the label of its axis, and its value.
_QUANTITIES: dict[str, tuple[str, Callable[[Row], float | None]]] = {
    "time": ("median, ms", lambda row: float(row.median_ms)),
    "memory": ("extra memory at the peak, MiB", lambda row: row.facts.get("peak_mib")),
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

    figure = Figure(figsize=(11, 5.2), dpi=100, layout="constrained", facecolor="white")
    for place, (label, value) in zip(figure.subplots(1, 2), _QUANTITIES.values(), strict=True):
        _draw(place, rows, axis, value)
        place.set(xlabel=AXES[axis], ylabel=label)
    first = rows[0]
    head = "" if first.work in WITHOUT_GRADIENT else f", {first.head} head"
    figure.suptitle(f"{first.work}{head}: {_what(first, axis)}", x=0.01, ha="left", fontweight="bold")
    lines, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Software": None})


def _what(row: Row, axis: str) -> str:
    facts = {
        "N": f"N = {row.N}", "masked": f"{row.masked:.0%} masked", "D": f"D = {row.D}", "V": f"V = {row.V}",
    }  # fmt: skip
    return ", ".join(words for name, words in facts.items() if name != axis)


def _draw(axes: Axes, rows: list[Row], axis: str, value: Callable[[Row], float | None]) -> None:
    from matplotlib.ticker import LogLocator, StrMethodFormatter

    for i, (provider, of_provider) in enumerate(grouped(rows, "provider").items()):
        points = _points(of_provider, axis, value)
        if points:
            own, is_approximate = of_provider[0].own, any(row.inaccuracy for row in of_provider)
            axes.plot(
                *zip(*points, strict=True), color=f"C{i}", marker="o" if own else "x", linewidth=2.5 if own else 1.2,
                linestyle="--" if is_approximate else "-",
                label=f"{'~' if is_approximate else ''}{provider}: {_exponents(of_provider, axis)}",
            )  # fmt: skip
    axes.set(xscale="log", yscale="log")
    ticks = sorted({row.facts[axis] for row in rows})
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#E6E8EB", linewidth=0.8)


def _points(rows: list[Row], axis: str, value: Callable[[Row], float | None]) -> list[tuple[float, float]]:
    return sorted((row.facts[axis], y) for row in rows if (y := value(row)) is not None)


def _exponents(rows: list[Row], axis: str) -> str:
    """Say how time and memory grow, such as "time N^1.00, memory N^0.50", and not -0.00 for what stays."""
    fits = {name: exponent(_points(rows, axis, value)) for name, (_, value) in _QUANTITIES.items()}
    return ", ".join(
        f"{name} {axis}^{round(power, 2) + 0.0:.2f}" for name, power in fits.items() if not math.isnan(power)
    )
