from __future__ import annotations

import json

import pytest

from benchmarks.training import __main__ as command
from benchmarks.training.objectives import OBJECTIVES


def test_every_objective_takes_steps_and_is_recorded(tmp_path, capsys):
    command.main(["--smoke", "--output", str(tmp_path)])
    (path,) = tmp_path.iterdir()
    record = json.loads(path.read_text())
    assert [row["objective"] for row in record["objectives"]] == list(OBJECTIVES)
    assert all(row["rounds"] == 2 and row["mean_ms"] > 0 for row in record["objectives"])
    assert record["command"].startswith("python -m benchmarks.training --smoke")
    assert "x sft" in capsys.readouterr().out


def test_a_cost_is_relative_to_the_mean_of_sft():
    rows = command.relative_to_sft({"sft": [1.0, 3.0], "lift3": [2.0, 4.0]})
    assert [(row["objective"], row["mean_ms"], row["relative"]) for row in rows] == [
        ("sft", 2.0, 1.0), ("lift3", 3.0, 1.5),
    ]  # fmt: skip


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
    samples = command.measure(preset, num_steps=4, num_batches=1)
    assert steps == list(range(7)) and len(samples["sft"]) == 4


def test_a_step_that_raises_ends_the_command(monkeypatch):
    monkeypatch.setattr(command, "OBJECTIVES", {"sft": {"no_such_field": 1}})
    with pytest.raises(TypeError, match="no_such_field"):
        command.main(["--smoke"])
