from __future__ import annotations

import json

import pytest
import yaml

from benchmarks.training import __main__ as command
from benchmarks.training.objectives import METHODS_ALONE, OBJECTIVES
from lift import LiftError
from lift.recipes import PRESETS


def test_every_objective_takes_steps_and_is_recorded(tmp_path, capsys):
    command.main(["--smoke", "--threads", "1", "--output", str(tmp_path)])
    (path,) = tmp_path.iterdir()
    record = json.loads(path.read_text())
    assert [row["objective"] for row in record["objectives"]] == list(OBJECTIVES)
    assert all(row["rounds"] == 2 and row["mean_ms"] > 0 for row in record["objectives"])
    assert not record["not_measured"] and (record["rows"], record["tokens"]) == (2, 32)
    losses = {row["objective"]: row["loss"] for row in record["memory"]}
    methods = [name for name in METHODS_ALONE if name not in ("easy", "middle", "hard")]
    assert list(losses) == [*methods, "sft, blocks", "lift3, blocks", "sft, by logits"]
    assert losses["sft"] == pytest.approx(losses["sft, by logits"], rel=1e-5)
    assert record["command"].startswith("python -m benchmarks.training --smoke")
    assert "x sft" in capsys.readouterr().out


def test_the_first_steps_warm_up_and_are_not_counted(monkeypatch):
    monkeypatch.setattr(command, "OBJECTIVES", {"sft": {"method": "sft"}})
    steps = []

    class Runner:
        def __init__(self, *_):
            pass

        def step(self, number):
            steps.append(number)

    monkeypatch.setattr(command, "StepRunner", Runner)
    preset = {"per_device_train_batch_size": 1, "max_length": 64}
    samples, refused = command.measure(preset, num_steps=4, num_batches=1)
    assert steps == list(range(7)) and len(samples["sft"]) == 4 and not refused


def test_an_objective_that_needs_more_is_named_with_its_reason(monkeypatch):
    monkeypatch.setattr(command, "OBJECTIVES", {"sft": {"method": "sft"}, "new": {"method": "new"}})
    real = command.StepRunner

    def runner(changes, *given):
        if changes["method"] == "new":
            raise LiftError("new needs a file.")
        return real(changes, *given)

    monkeypatch.setattr(command, "StepRunner", runner)
    preset = yaml.safe_load((PRESETS / "sudoku.yaml").read_text()) | {"per_device_train_batch_size": 2}
    samples, refused = command.measure(preset, num_steps=1, num_batches=1)
    assert list(samples) == ["sft"] and refused == {"new": "new needs a file."}


def test_a_step_that_raises_ends_the_command(monkeypatch):
    monkeypatch.setattr(command, "OBJECTIVES", {"sft": {"method": "sft", "no_such_field": 1}})
    with pytest.raises(TypeError, match="no_such_field"):
        command.main(["--smoke", "--threads", "1"])
