"""Pictures of what a run keeps by time and frequency of the token, for the trackers that take pictures."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from transformers import TrainerCallback
from transformers.integrations import TensorBoardCallback, WandbCallback

from lift.learnability.bands import BANDS
from lift.report.figure import GREY, INK, dress_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "train/tokens by time and frequency"
_MOST_OF_TIME = 0.01
_FIRST_SECONDS = 0.5  # that a picture is taken to need before one was drawn
_TITLES = {"log_prob": "Trained: log-probability (nats)", "kept_share": "Scored: share that is kept"}

Grids = Mapping[str, NDArray[np.float64]]
Show = Callable[[NDArray[np.uint8], int], object]  # (picture (H, W, 3), step)


class TokenFigures(TrainerCallback):
    """Sends a picture where something is logged, as often as that takes a hundredth of the training's time at most.

    So the first comes after about a minute. Drawn by the main process alone, and only for a tracker that takes it:
    TensorBoard or Weights & Biases.

    Args:
        trainer: the run's, with a `TokenGrid`.
    """

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer
        self._start, self._spent, self._longest = time.perf_counter(), 0.0, _FIRST_SECONDS

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin to count the time."""
        self._start, self._spent = time.perf_counter(), 0.0

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Draw what was logged, if there is time for it and somebody to show it to."""
        grids = self._trainer._token_grid.latest
        if not state.is_world_process_zero or not grids or "loss" not in (logs or {}):
            return
        start = time.perf_counter()
        if self._spent + self._longest > _MOST_OF_TIME * (start - self._start):
            return
        if not (shown_by := list(trackers(self._trainer.callback_handler.callbacks))):
            return
        with self._trainer.timed_apart():
            picture = pixels(draw(grids))
            for show in shown_by:
                show(picture, state.global_step)
        seconds = time.perf_counter() - start
        self._spent, self._longest = self._spent + seconds, max(self._longest, seconds)


def trackers(callbacks: list[Any]) -> Iterator[Show]:
    """Yield how to show a picture, for each tracker that takes one and has begun; none without matplotlib."""
    if importlib.util.find_spec("matplotlib") is None:
        return
    for callback in callbacks:
        if isinstance(callback, TensorBoardCallback) and callback.tb_writer is not None:
            yield partial(_add_to_board, callback.tb_writer)
        elif isinstance(callback, WandbCallback) and callback._wandb is not None and callback._initialized:
            yield partial(_log_to_wandb, callback._wandb)


def _add_to_board(writer: Any, picture: NDArray[np.uint8], step: int) -> None:
    writer.add_image(NAME, picture, step, dataformats="HWC")


def _log_to_wandb(wandb: Any, picture: NDArray[np.uint8], step: int) -> None:
    wandb.log({NAME: wandb.Image(picture), "train/global_step": step})


def draw(grids: Grids) -> Figure:
    """Return a heat map of each of the grids (time, band); hatched where there was no token."""
    figure = new_figure(height=3.2)
    for axes, (name, values) in zip(figure.subplots(1, len(grids), squeeze=False)[0], grids.items(), strict=True):
        axes.patch.set(hatch="////", edgecolor=GREY, linewidth=0)
        limits = {"vmin": 0.0, "vmax": 1.0} if name == "kept_share" else {"vmax": 0.0}
        image = axes.imshow(values, aspect="auto", origin="lower", cmap="viridis", **limits)
        num_times = len(values)
        axes.set_yticks(np.arange(num_times + 1) - 0.5, [f"{edge / num_times:g}" for edge in range(num_times + 1)])
        axes.set_xticks(range(len(BANDS)), [band.replace(" %", "") for band in BANDS], rotation=20)
        axes.set(xlabel="Share of the responses' tokens (%)", ylabel="Time t")
        bar = figure.colorbar(image, ax=axes)
        bar.outline.set_visible(False)
        bar.ax.tick_params(color=GREY, labelcolor=INK)
        dress_axes(axes, _TITLES[name], grid_axis=None, has_legend=False)
        axes.title.set_fontsize(10)
    return figure


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """Return a figure as a picture (H, W, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
