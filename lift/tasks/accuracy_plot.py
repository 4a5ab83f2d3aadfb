"""The picture of a run on puzzles: accuracy by difficulty, before and after training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from lift.errors import LiftError
from lift.report.figure import BLUE, GREY, INK, dress_axes, new_figure, write_figure
from lift.statistics import wilson_interval


def accuracy_by_difficulty(
    before: Mapping[Any, tuple[int, int]], after: Mapping[Any, tuple[int, int]], path: str | PathLike[str], *,
    title: str, levels_label: str, solved_label: str, subtitle: str = "", formats: Sequence[str] = (),
) -> None:  # fmt: skip
    """Draw the share of puzzles solved at each level of difficulty, before and after training, with 95 % intervals.

    The intervals are Wilson's: they are about other puzzles of the level, not about other runs.

    Args:
        before: level -> (solved, puzzles), as `SudokuScore.by_blanks`; may be empty.
        after: the same after training.
        path: where to write; the format follows the suffix. An existing file is replaced at once.
        title, levels_label, solved_label: of the picture, of the levels, and of the share.
        subtitle: a line on the run, below the title.
        formats: some of png, svg and pdf, in place of the suffix.
    Raises: LiftError if after is empty, a count does not fit, or matplotlib is missing.
    """
    if not after:
        raise LiftError("accuracy_by_difficulty: after must hold at least one level, got none.")
    for name, counts in (("before", before), ("after", after)):
        for level, (solved, total) in counts.items():
            if not 0 <= solved <= total or total == 0:
                raise LiftError(
                    f"accuracy_by_difficulty: {name}[{level}] must be (solved, n), 0 <= solved <= n, n > 0, "
                    f"got ({solved}, {total})."
                )
    levels = sorted({*before, *after})
    figure = new_figure(height=4.0)
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
        ends = [wilson_interval(*counts[levels[index]]) for index in present]
        below = [max(0.0, value - 100 * end.low) for value, end in zip(percent, ends, strict=True)]
        above = [max(0.0, 100 * end.high - value) for value, end in zip(percent, ends, strict=True)]
        bars = axes.bar(
            [index + offset for index in present], percent, width, color=colour, label=f"{label} training",
            yerr=[below, above], error_kw={"ecolor": INK, "elinewidth": 1, "capsize": 2.5},
        )  # fmt: skip
        axes.bar_label(bars, [_percent(value) for value in percent], padding=2, fontsize=8, color=INK)
    counted = {level: (after.get(level) or before[level])[1] for level in levels}
    axes.set_xticks(range(len(levels)), [f"{level}\nn = {counted[level]}" for level in levels])
    axes.set(ylim=(0, 114), yticks=range(0, 101, 25), xlabel=levels_label, ylabel=f"{solved_label} (%)")
    axes.tick_params(axis="x", length=0)
    dress_axes(axes, title, subtitle=subtitle)
    write_figure(figure, Path(path), formats)


def _percent(value: float) -> str:
    """A share as text in which 0 and 100 mean none and all: 99.96 must not read as 100."""
    if value in (0, 100):
        return f"{value:.0f}"
    return f"{min(max(value, 0.1), 99.9):.1f}" if value < 1 or value > 90 else f"{value:.0f}"
