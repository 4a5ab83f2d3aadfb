"""The picture of a training run: its losses and the learning modes of its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from lift.errors import LiftError
from lift.report.figure import BLUE, GREEN, GREY, ORANGE, dress_axes, new_figure, write_figure

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

    figure = new_figure(height=5.4 if has_shares else 4.0)
    if has_shares:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, 1))
        steps = [step for step, _ in shares["easy"]]
        heights = [_smooth([100 * share for _, share in series]) for series in shares.values()]
        bottom.stackplot(steps, *heights, colors=SHARES.values(), labels=shares, linewidth=0)
        bottom.set(ylim=(0, 100), yticks=(0, 50, 100), ylabel="Rows (%)")
        dress_axes(bottom, "Learning mode of the rows", grid_axis=None)
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
    dress_axes(top, "Loss during training")
    bottom.set_xlabel("Optimiser step")
    bottom.margins(x=0.01)
    write_figure(figure, Path(path))


def _series(history: Sequence[Mapping[str, Any]], key: str) -> list[tuple[int, float]]:
    return [(entry["step"], float(entry[key])) for entry in history if key in entry and "step" in entry]


def _smooth(values: Sequence[float]) -> list[float]:
    """Running mean over a twentieth of the points on each side, fewer at the ends; a short series stays."""
    if len(values) < MIN_POINTS_TO_SMOOTH:
        return list(values)
    reach = len(values) // 20
    windows = (values[max(0, i - reach) : i + reach + 1] for i in range(len(values)))
    return [sum(window) / len(window) for window in windows]
