from __future__ import annotations

import pytest
import torch
import yaml

from benchmarks.training.objectives import OBJECTIVES
from benchmarks.training.step_runner import StepRunner
from lift import prepare_dataset
from lift.recipes import PRESETS
from lift.tasks import sudoku


@pytest.fixture(scope="module")
def preset():
    return yaml.safe_load((PRESETS / "sudoku.yaml").read_text()) | {"per_device_train_batch_size": 4}


@pytest.fixture(scope="module")
def rows(preset):
    puzzles = sudoku.generate_puzzles(8, seed=0)
    return prepare_dataset(sudoku.rows(puzzles), sudoku.build_tokenizer(), max_length=preset["max_length"])


def test_a_step_trains_and_models_start_alike(tmp_path, preset, rows):
    first, second = (StepRunner(OBJECTIVES[name], preset, rows, str(tmp_path)) for name in ("sft", "lift3"))
    before = {name: value.clone() for name, value in first.model.state_dict().items()}
    assert all(torch.equal(value, before[name]) for name, value in second.model.state_dict().items())
    first.step(0)
    assert any(not torch.equal(value, before[name]) for name, value in first.model.state_dict().items())
    assert all(parameter.grad is None for parameter in first.model.parameters())


def test_steps_go_through_the_batches_and_tell_the_trainer_their_number(tmp_path, monkeypatch, preset, rows):
    runner = StepRunner(OBJECTIVES["sft"], preset, rows, str(tmp_path))
    assert len(runner.batches) == 2
    seen, real = [], runner.trainer.compute_loss

    def compute_loss(model, inputs):
        ids = inputs["example_id"]
        place = next(i for i, batch in enumerate(runner.batches) if torch.equal(batch["example_id"], ids))
        seen.append((runner.trainer.state.global_step, place))
        assert "draws" in inputs and runner.trainer._counts is not None  # as a training gives it
        return real(model, inputs)

    monkeypatch.setattr(runner.trainer, "compute_loss", compute_loss)
    for number in range(3):
        runner.step(number)
    assert seen == [(0, 0), (1, 1), (2, 0)]
    assert all("draws" not in batch for batch in runner.batches)


def test_steps_of_a_pool_follow_one_another(tmp_path, preset, rows):
    runner = StepRunner(OBJECTIVES["puma"], preset, rows, str(tmp_path))
    for number in range(9):
        runner.step(number)
    assert runner.trainer._pool.state().turn.min() == 1
