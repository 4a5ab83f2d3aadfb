"""The history of a run: valid JSON a line, at once on disk, and without gaps or doubles over resumes."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lift.training.run_history import RunHistory, read_history


def state(step: int, *, epoch: float | None = None, is_main: bool = True) -> Any:
    return SimpleNamespace(global_step=step, epoch=epoch, is_world_process_zero=is_main, log_history=[], max_steps=9)


def log(history: RunHistory, step: int, **entry: Any) -> None:
    now = state(step, epoch=step / 10)
    now.log_history.append(entry | {"step": step})
    history.on_log(None, now, None, logs=entry)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.jsonl"


def lines(path) -> list[dict]:
    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]


def test_nothing_is_written_before_training_begins_and_all_of_it_then(path):
    history = RunHistory(path)
    history.add(state(0), {"eval_loss": 4.0})
    assert not path.exists()
    history.on_train_begin(None, state(0), None)
    (first,) = lines(path)
    assert first == {"step": 0, "epoch": 0.0, "eval_loss": 4.0, "seconds": 0.0}
    assert list(history.lines) == [first]
    for step in (1, 2):
        log(history, step, loss=3.0)
        assert lines(path)[-1]["step"] == step and lines(path)[-1]["epoch"] == step / 10  # at once
    seconds = [line["seconds"] for line in lines(path)]
    assert seconds == sorted(seconds)


def test_numbers_that_are_not_finite_are_null_and_those_of_torch_and_numpy_are_numbers(path):
    history = RunHistory(path)
    history.on_train_begin(None, state(0), None)
    log(
        history,
        1,
        loss=math.nan,
        grad_norm=math.inf,
        rate=torch.tensor(0.5),
        count=np.int64(3),
        score={8: (-math.inf, 1)},
    )
    (line,) = lines(path)
    assert (line["loss"], line["grad_norm"], line["rate"], line["count"]) == (None, None, 0.5, 3)
    assert line["score"] == {"8": [None, 1]}


def test_only_the_main_process_writes(path):
    history = RunHistory(path)
    history.on_train_begin(None, state(0, is_main=False), None)
    history.add(state(1, is_main=False), {"loss": 1.0})
    assert not path.exists()


def test_a_resume_drops_what_came_after_its_checkpoint_and_goes_on(path):
    first = RunHistory(path)
    first.add(state(0), {"eval_loss": 4.0})
    first.add(state(0), {"score": {"valid": 0.25}})
    first.on_train_begin(None, state(0), None)
    for step in (2, 4, 6):
        log(first, step, loss=10.0 - step)
    with path.open("a") as file:
        file.write('{"step": 8, "lo')  # killed while it wrote
    written = lines_before = read_history(path)
    assert [line["step"] for line in written] == [0, 0, 2, 4, 6]

    second = RunHistory(path, path)
    assert second.first_metrics() == {"eval_loss": 4.0, "valid": 0.25}
    assert second.earlier_seconds == lines_before[-1]["seconds"]  # also those of the steps that are dropped
    second.on_train_begin(None, state(4), None)
    assert lines(path) == written[:4]
    log(second, 6, loss=1.0)
    log(second, 7, loss=0.0)
    assert [(line["step"], line.get("loss")) for line in lines(path)] == [
        (0, None),
        (0, None),
        (2, 8.0),
        (4, 6.0),
        (6, 1.0),
        (7, 0.0),
    ]
    assert lines(path)[-1]["seconds"] >= second.earlier_seconds
    assert second.mean_loss() == pytest.approx((2 * 8 + 2 * 6 + 2 * 1 + 1 * 0) / 7)


@pytest.mark.parametrize("last", [7, 9])
def test_a_resume_after_the_last_step_drops_what_followed_it(path, last):
    first = RunHistory(path)
    first.on_train_begin(None, state(0), None)
    log(first, 7, train_runtime=1.0)  # of a run of 7 steps, which was made longer
    log(first, last, loss=3.0)
    log(first, last, train_runtime=2.0, train_loss=3.5)
    first.add(state(last), {"eval_loss": 4.0})
    whole = lines(path)
    second = RunHistory(path, path)
    second.on_train_begin(None, state(last), None)
    assert lines(path) == (whole[:2] if last == 9 else whole)
    log(second, 9, train_runtime=0.0)
    # A start that took all the steps knows their mean better than what was logged of them.
    assert lines(path)[-1]["train_loss"] == second.train_loss == (3.5 if last == 9 else 3.0)


def test_a_resume_into_another_folder_takes_the_lines_along(path, tmp_path):
    first = RunHistory(path)
    first.on_train_begin(None, state(0), None)
    log(first, 1, loss=3.0)
    before = path.read_bytes()
    second = RunHistory(tmp_path / "other.jsonl", path)
    second.on_train_begin(None, state(1), None)
    assert (tmp_path / "other.jsonl").read_bytes() == before == path.read_bytes()


def test_without_a_file_a_resume_takes_what_its_checkpoint_knows(path):
    history = RunHistory(path, path)
    assert history.first_metrics() == {} and history.earlier_seconds == 0
    resumed = state(3)
    resumed.log_history = [{"loss": 2.0, "step": 2, "epoch": 0.5}]
    history.on_train_begin(None, resumed, None)
    assert lines(path) == [{"loss": 2.0, "step": 2, "epoch": 0.5}]
    assert RunHistory(path).mean_loss() is None
