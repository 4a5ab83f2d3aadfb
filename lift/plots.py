"""The pictures a run leaves behind: its loss curve, and accuracy by difficulty before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lift.atomic_write import atomic_write
from lift.errors import LiftError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours of Okabe and Ito, which stay apart under every common form of colour blindness.
BLUE, ORANGE, GREEN, GREY, INK = "#0072B2", "#E69F00", "#009E73", "#B4B8BF", "#30343B"
SHARES = {"easy": GREEN, "middle": GREY, "hard": ORANGE}
# Fewer points than this are drawn as they are: a mean over neighbours would hide more than it shows.
MIN_POINTS_TO_SMOOTH = 40


def loss_curve(history: Sequence[Mapping[str, Any]], path: str | PathLike[str]) -> None:
    """Draw training and held-out loss over optimiser steps and, if logged, the shares of the learning modes.

    Args:
        history: `trainer.state.log_history`: entries with "step" and "loss" or "eval_loss" (nats), and
            optionally "easy", "middle", "hard", the shares of rows in [0, 1].
        path: where to write; the format follows the suffix (.png, .svg, .pdf). An existing file is replaced
            at once.
    Raises: LiftError if no entry has a loss, or matplotlib is missing.
    """
    loss, eval_loss = _series(history, "loss"), _series(history, "eval_loss")
    if not loss and not eval_loss:
        raise LiftError("loss_curve: history must have an entry with 'step' and 'loss', got none. Lower logging_steps.")
    shares = {name: _series(history, name) for name in SHARES}
    has_shares = all(shares.values()) and len({tuple(step for step, _ in series) for series in shares.values()}) == 1

    figure = _new_figure(height=5.4 if has_shares else 4.0)
    if has_shares:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, 1))
        steps = [step for step, _ in shares["easy"]]
        heights = [_smooth([100 * share for _, share in series]) for series in shares.values()]
        bottom.stackplot(steps, *heights, colors=SHARES.values(), labels=shares, linewidth=0)
        bottom.set(ylim=(0, 100), yticks=(0, 50, 100), ylabel="Rows (%)")
        _dress(bottom, "Learning mode of the rows", has_grid=False)
    else:
        top = bottom = figure.subplots()

    if loss:
        loss_steps, values = [step for step, _ in loss], [value for _, value in loss]
        smooth = _smooth(values)
        is_smoothed = smooth != values
        label = "training (running mean)" if is_smoothed else "training"
        top.plot(loss_steps, smooth, color=BLUE, linewidth=2, label=label)
        if is_smoothed:
            top.plot(loss_steps, values, color=BLUE, linewidth=0.8, alpha=0.35)
    if eval_loss:
        eval_steps, values = [step for step, _ in eval_loss], [value for _, value in eval_loss]
        top.plot(eval_steps, values, color=ORANGE, linewidth=2, marker="o", markersize=5, label="held out")
    top.set_ylabel("Loss (nats)")
    top.set_ylim(bottom=0)
    _dress(top, "Loss during training")
    bottom.set_xlabel("Optimiser step")
    bottom.margins(x=0.01)
    _write(figure, Path(path))


def accuracy_by_difficulty(
    before: Mapping[int, tuple[int, int]], after: Mapping[int, tuple[int, int]], path: str | PathLike[str]
) -> None:
    """Draw the share of valid grids by number of blank cells, before and after training.

    Args:
        before: number of blanks -> (valid grids, puzzles), as `SudokuScore.by_blanks`; may be empty.
        after: the same after training.
        path: where to write; the format follows the suffix. An existing file is replaced at once.
    Raises: LiftError if after is empty, a count does not fit, or matplotlib is missing.
    """
    if not after:
        raise LiftError("accuracy_by_difficulty: after must hold at least one number of blanks, got none.")
    for name, counts in (("before", before), ("after", after)):
        for blanks, (valid, total) in counts.items():
            if not 0 <= valid <= total or total == 0:
                raise LiftError(
                    f"accuracy_by_difficulty: {name}[{blanks}] must be (valid, n), 0 <= valid <= n, n > 0, "
                    f"got ({valid}, {total})."
                )
    levels = sorted({*before, *after})
    figure = _new_figure(height=4.0)
    axes = figure.subplots()
    width = 0.38
    for counts, offset, colour, label in (
        (before, -width / 2, GREY, "before"),
        (after, width / 2, BLUE, "after"),
    ):
        if not counts:
            continue
        present = [index for index, level in enumerate(levels) if level in counts]
        percent = [100 * counts[levels[index]][0] / counts[levels[index]][1] for index in present]
        bars = axes.bar([index + offset for index in present], percent, width, color=colour, label=f"{label} training")
        axes.bar_label(bars, [_percent(value) for value in percent], padding=2, fontsize=8, color=INK)
    counted = {level: (after.get(level) or before[level])[1] for level in levels}
    axes.set_xticks(range(len(levels)), [f"{level}\nn = {counted[level]}" for level in levels])
    axes.set(ylim=(0, 112), yticks=range(0, 101, 25), xlabel="Blank cells in the puzzle", ylabel="Valid grids (%)")
    axes.tick_params(axis="x", length=0)
    _dress(axes, "4x4 Sudoku solved, by difficulty")
    _write(figure, Path(path))


def _series(history: Sequence[Mapping[str, Any]], key: str) -> list[tuple[int, float]]:
    return [(entry["step"], float(entry[key])) for entry in history if key in entry and "step" in entry]


def _smooth(values: Sequence[float]) -> list[float]:
    """Running mean over a twentieth of the points on each side, fewer at the ends; a short series stays."""
    if len(values) < MIN_POINTS_TO_SMOOTH:
        return list(values)
    reach = len(values) // 20
    windows = (values[max(0, i - reach) : i + reach + 1] for i in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def _percent(value: float) -> str:
    """A share as text in which 0 and 100 mean none and all: 99.96 must not read as 100."""
    if value in (0, 100):
        return f"{value:.0f}"
    return f"{min(max(value, 0.1), 99.9):.1f}" if value < 1 or value > 90 else f"{value:.0f}"


def _new_figure(height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise LiftError("a plot needs matplotlib, which is not installed: pip install 'lift-kernels[plot]'") from error
    # A figure of its own, not pyplot's: no window system, and no state shared with the caller's plots.
    return Figure(figsize=(8.0, height), dpi=150, layout="constrained", facecolor="white")


def _dress(axes: Axes, title: str, has_grid: bool = True) -> None:
    """The common look: title on the left, legend on the same line on the right, no box, quiet lines."""
    axes.set_title(title, loc="left", color=INK, fontsize=12, fontweight="bold", pad=10)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, borderpad=0.2, labelcolor=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(color=GREY, labelcolor=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    if has_grid:
        axes.grid(axis="y", color="#E6E8EB", linewidth=0.8)
        axes.set_axisbelow(True)


def _write(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    file_format = path.suffix.removeprefix(".") or "png"
    supported = figure.canvas.get_supported_filetypes()
    if file_format not in supported:
        raise LiftError(f"plot file {path} must end in .png, .svg or .pdf, got {path.suffix!r}.")
    with atomic_write(path) as file:
        figure.savefig(file, format=file_format)
