"""Bars on what may take long: shown by one process, and by none where the user wants none."""

from __future__ import annotations

import contextlib
import logging
from types import SimpleNamespace

import pytest
from tqdm.auto import tqdm
from transformers import TrainerCallback

from lift import LiftTrainer
from lift.data import packing
from lift.tasks import sudoku
from lift.training import length_sampler, progress, score_source
from lift.training.progress import shows_progress
from tests.lift.support.tiny import GROUPED, tiny_config, tiny_model, uneven_rows
from tests.transformers_version import needs_packing


@pytest.mark.parametrize(
    ("disable_tqdm", "process_index", "shown"),
    [(False, 0, True), (True, 0, False), (False, 1, False), (True, 3, False)],
)
def test_one_process_shows_bars_unless_the_user_wants_none(disable_tqdm, process_index, shown):
    args = SimpleNamespace(disable_tqdm=disable_tqdm, process_index=process_index)
    assert shows_progress(args) == shown


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    """The clock of `Speed`, which stands still unless a test moves it."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress.time, "perf_counter", lambda: clock.now)
    return clock


def test_speed_counts_the_seconds_since_the_last_entry(clock):
    speed = progress.Speed()
    for num_tokens, seconds in ((300, 2.0), (50, 5.0), (0, 1.0)):
        speed.num_tokens += num_tokens
        clock.now += seconds
        assert speed.take() == {"tokens_per_second": num_tokens / seconds}
    speed.num_tokens += 1
    assert speed.take()["tokens_per_second"] == pytest.approx(1e9)  # no time at all divides by none


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_no_training_takes_no_time(clock, fails):
    speed = progress.Speed()
    speed.num_tokens = 60
    clock.now += 2
    with contextlib.suppress(KeyError), speed.paused():
        clock.now += 1000
        if fails:
            raise KeyError
    clock.now += 1
    assert speed.take() == {"tokens_per_second": 20.0}


def test_the_bar_shows_steps_and_what_was_logged_last(monkeypatch, capfd):
    bar = progress.TrainingProgress()
    args = SimpleNamespace(method="lift3")
    state = SimpleNamespace(is_world_process_zero=True, max_steps=8, global_step=2)
    bar.on_train_begin(args, state, None)
    state.global_step = 5
    bar.on_step_end(args, state, None)
    bar.on_log(args, state, None, logs={"eval_loss": 1.0})
    logs = {"loss": 1.2345, "easy": 0.5, "middle": 0.3, "hard": 0.2, "tokens_per_second": 12345.6}
    bar.on_log(args, state, None, logs=logs)
    assert bar._bar.n == 5 and bar._bar.total == 8 and bar._bar.initial == 2
    bar.on_train_end(args, state, None)
    shown = capfd.readouterr().err
    assert "lift3" in shown and "5/8" in shown
    assert "loss 1.234, e50 m30 h20, 12k tok/s]" in shown
    other = progress.TrainingProgress()
    other.on_train_begin(args, SimpleNamespace(is_world_process_zero=False), None)
    for call in (other.on_step_end, other.on_log, other.on_train_end):
        call(args, state, None)
    assert capfd.readouterr().err == ""


def test_the_bar_fits_80_columns_on_long_runs_too():
    bar = progress.TrainingProgress()
    state = SimpleNamespace(is_world_process_zero=True, max_steps=100_000, global_step=99_999)
    bar.on_train_begin(SimpleNamespace(method="middle"), state, None)
    bar.on_log(
        None,
        state,
        None,
        logs={"loss": 12.3456, "easy": 0.34, "middle": 0.33, "hard": 0.33, "tokens_per_second": 99500},
    )
    ten_hours = bar._bar.format_dict | {"ncols": 80, "elapsed": 35999.0, "initial": 0}
    shown = bar._bar.format_meter(**ten_hours)
    bar.on_train_end(None, state, None)
    assert len(shown) <= 80 and shown.startswith("middle |") and shown.endswith("e34 m33 h33, 100k tok/s]"), shown


@pytest.mark.parametrize(("speed", "shown"), [(7.4, "7"), (9999, "9999"), (9999.5, "10k"), (1_234_567, "1235k")])
def test_speeds_are_short(speed, shown):
    assert progress._postfix({"tokens_per_second": speed}) == f"{shown} tok/s"


def test_an_evaluation_has_a_bar_while_it_lasts_and_leaves_a_line(tmp_path, capfd):
    trainer = LiftTrainer(
        model=tiny_model(), processing_class=sudoku.build_tokenizer(), train_dataset=uneven_rows(),
        eval_dataset=uneven_rows(10),
        args=tiny_config(
            tmp_path, disable_tqdm=False, eval_strategy="steps", eval_steps=1, per_device_eval_batch_size=4,
            max_steps=3, learning_rate=0.3,
        ),
    )  # fmt: skip
    before = trainer.evaluate()
    shown = capfd.readouterr()
    assert "evaluating |" in shown.err and "0/3" in shown.err and "held-out" not in shown.err
    assert shown.err.rpartition("\r")[2].strip() == "" and before["eval_loss"] > 0  # the bar is gone
    trainer.train()
    losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    shown = capfd.readouterr().err.replace("\r", "\n").splitlines()
    lines = [line for line in shown if "held-out" in line]
    expected = [
        f"step {i + 1}: held-out {loss:.4g}{', best' if loss == min(losses[: i + 1]) else ''}"
        for i, loss in enumerate(losses)
    ]
    assert len(losses) == 3 and lines == expected
    assert any(line.startswith("evaluating |") for line in shown)


def test_a_run_that_fails_leaves_no_bar(tmp_path, capfd):
    class Failing(TrainerCallback):
        def on_step_end(self, *args, **kwargs):
            raise ValueError("a failure")

    trainer = LiftTrainer(
        model=tiny_model(), processing_class=sudoku.build_tokenizer(), train_dataset=uneven_rows(),
        args=tiny_config(tmp_path, disable_tqdm=False, max_steps=3), callbacks=[Failing()],
    )  # fmt: skip
    with pytest.raises(ValueError, match="a failure") as failure:
        trainer.train()
    assert capfd.readouterr().err.endswith("\n")  # while `failure` still holds every frame of the run
    del failure


def test_the_line_of_an_evaluation_names_its_set_and_whether_it_is_the_best_so_far():
    history = [{"eval_loss": 2.0, "eval_hard_loss": 5.0}, {"loss": 1.0}, {"eval_hard_loss": 4.0}, {"eval_loss": 1.5}]
    state = SimpleNamespace(global_step=40, log_history=history)
    lines = progress._evaluation_lines
    assert list(lines(state, {"eval_loss": 1.5, "eval_runtime": 3.0})) == ["step 40: held-out 1.5, best"]
    state.log_history = [*history, {"eval_loss": 1.5}]
    assert list(lines(state, {"eval_loss": 1.5})) == ["step 40: held-out 1.5"]  # no better
    state.log_history = [*history, {"eval_hard_loss": 3.14159}]
    assert list(lines(state, {"eval_hard_loss": 3.14159})) == ["step 40: held-out hard 3.142, best"]


@pytest.fixture(autouse=True)
def _no_log(monkeypatch):
    """A run in this process, of another test, may have left its handler."""
    monkeypatch.setattr(logging.getLogger("lift"), "handlers", [])


@pytest.fixture
def at_once(monkeypatch):
    """Bars appear after a second of work; here at once."""
    for module in (length_sampler, packing, score_source):
        monkeypatch.setattr(module, "tqdm", lambda rows, **options: tqdm(rows, **{**options, "delay": 0}))


def make_trainer(tmp_path, **options) -> LiftTrainer:
    return LiftTrainer(
        model=tiny_model(),
        args=tiny_config(tmp_path, packing=True, pad_in_loss=False, max_length=40, **GROUPED, **options),
        train_dataset=uneven_rows(),
        processing_class=sudoku.build_tokenizer(),
    )


@needs_packing
@pytest.mark.parametrize("score_source", ["cache", "frequency"])
def test_packing_measuring_and_counting_show_bars(tmp_path, at_once, capfd, score_source):
    make_trainer(tmp_path, disable_tqdm=False, score_source=score_source).get_train_dataloader()
    shown = capfd.readouterr().err
    for words in ("Packing: 100%", "Measuring lengths: 100%", "Counting tokens: 100%"):
        assert words in shown
    make_trainer(tmp_path, disable_tqdm=True, score_source=score_source).get_train_dataloader()
    assert capfd.readouterr().err == ""


@needs_packing
def test_what_takes_no_time_shows_no_bar(tmp_path, capfd):
    make_trainer(tmp_path, disable_tqdm=False, score_source="cache").get_train_dataloader()
    assert capfd.readouterr().err == ""
