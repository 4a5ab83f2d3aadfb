"""Pictures for trackers: what they show, who gets them, and for how much of the time."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
from transformers.integrations import TensorBoardCallback, WandbCallback

from lift.learnability.bands import BANDS
from lift.training import token_figures
from lift.training.token_figures import NAME, TokenFigures, draw, pixels
from tests.lift.support.trainers import trainer_of_uneven_rows

GRIDS = {
    "log_prob": -np.arange(20.0).reshape(4, 5),
    "kept_share": np.where(np.arange(20).reshape(4, 5) % 3, np.arange(20).reshape(4, 5) / 20, np.nan),
}


def tracker(kind, **names):
    callback = object.__new__(kind)
    vars(callback).update(names)
    return callback


def test_a_figure_shows_the_grids():
    figure = draw(GRIDS)
    maps = [axes for axes in figure.axes if axes.images]
    for axes, values in zip(maps, GRIDS.values(), strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array().filled(np.nan), values)
        assert len(axes.get_xticklabels()) == len(BANDS)
    assert maps[1].images[0].get_clim() == (0, 1)
    picture = pixels(figure)
    assert picture.dtype == np.uint8 and picture.shape[2] == 3 and len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_trackers_get_the_picture_and_its_step(tmp_path, monkeypatch):
    sent = []
    writer = SimpleNamespace(add_image=lambda *args, **options: sent.append(("board", *args, options)))
    wandb = SimpleNamespace(Image=lambda picture: ("image", picture.shape), log=lambda entry: sent.append(entry))
    callbacks = [
        tracker(TensorBoardCallback, tb_writer=writer), tracker(TensorBoardCallback, tb_writer=None),
        tracker(WandbCallback, _wandb=wandb, _initialized=True),
        tracker(WandbCallback, _wandb=wandb, _initialized=False),
    ]  # fmt: skip
    picture = np.zeros((2, 3, 3), dtype=np.uint8)
    for show in token_figures.trackers(callbacks):
        show(picture, 7)
    assert sent[0][:2] == ("board", NAME) and sent[0][2] is picture and sent[0][3:] == (7, {"dataformats": "HWC"})
    assert sent[1:] == [{NAME: ("image", (2, 3, 3)), "train/global_step": 7}]


@pytest.mark.parametrize("seconds", [0.1, 2.0])
def test_pictures_take_a_hundredth_of_the_time_at_most(monkeypatch, seconds):
    """A clock of ours: a log entry each second, and pictures that take some."""
    now, drawn = [0.0], []
    monkeypatch.setattr(token_figures.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(token_figures, "draw", lambda grids: None)
    monkeypatch.setattr(token_figures, "pixels", lambda figure: now.__setitem__(0, now[0] + seconds))
    monkeypatch.setattr(token_figures, "trackers", lambda callbacks: [lambda picture, step: drawn.append(now[0])])
    trainer = SimpleNamespace(
        _token_grid=SimpleNamespace(latest=GRIDS), callback_handler=SimpleNamespace(callbacks=[]),
        timed_apart=nullcontext,
    )  # fmt: skip
    figures, state = TokenFigures(trainer), SimpleNamespace(is_world_process_zero=True, global_step=1)
    figures.on_train_begin(None, state, None)
    while now[0] < 2000:
        now[0] += 1
        figures.on_log(None, state, None, logs={"loss": 1.0})
    assert 50 <= drawn[0] <= 53 + seconds and (seconds < 1 or drawn[1] > 400)
    assert all(seconds * (number + 1) <= max(0.01 * at, seconds) for number, at in enumerate(drawn))
    count = len(drawn)
    now[0] += 1000
    figures.on_log(None, state, None, logs={"eval_loss": 1.0})
    figures.on_log(None, SimpleNamespace(is_world_process_zero=False), None, logs={"loss": 1.0})
    assert len(drawn) == count


def test_a_run_sends_pictures_by_default(tmp_path, monkeypatch):
    monkeypatch.setattr(token_figures, "_MOST_OF_TIME", 1e9)
    sent = []
    writer = SimpleNamespace(
        add_image=lambda name, picture, step, dataformats: sent.append((name, picture.shape, step))
    )

    class Board(TensorBoardCallback):
        def __init__(self):
            self.tb_writer = writer

        def on_train_begin(self, *args, **kwargs): ...

        on_log = on_train_end = on_train_begin

    trainer = trainer_of_uneven_rows(tmp_path, method="lift2", max_steps=1, report_to="none")
    trainer.add_callback(Board())
    trainer.train()
    assert [(name, step) for name, _, step in sent] == [(NAME, 1)] and sent[0][1][2] == 3
    for choice in ("modes", "bands"):
        trainer = trainer_of_uneven_rows(tmp_path, log_tokens=choice, report_to="none")
        assert not any(isinstance(callback, TokenFigures) for callback in trainer.callback_handler.callbacks)
