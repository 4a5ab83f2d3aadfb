"""The records of runs as their users meet them: of one that ends, is resumed, fails."""

from __future__ import annotations

import json

import pytest
import yaml

from lift.cli import main
from lift.training import LiftTrainer
from tests.lift.cli.support import TINY_RUN

RECORDS = {"config.yaml", "environment.json", "history.jsonl"}


def history(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def losses(folder) -> list[tuple[int, float]]:
    return [(line["step"], line["loss"]) for line in history(folder) if "loss" in line]


def test_a_run_is_recorded_repeated_and_resumed(tmp_path, capsys):
    out, new = tmp_path / "out", tmp_path / "new"
    words = [*TINY_RUN, "--save_strategy", "steps", "--save_steps", "1", "--eval_steps", "2", "--output_dir", str(out)]
    assert main(["train", *words]) == 0
    assert {path.name for path in out.iterdir()} >= RECORDS
    modes = {path.stat().st_mode for path in out.rglob("*") if path.is_file()}
    assert len(modes) == 1  # weights as text
    metrics = json.loads((out / "metrics.json").read_text())
    lines = history(out)
    assert {line["step"] for line in lines if "eval_loss" in line} == {0, 2, 3}
    assert [line["step"] for line in lines if "score" in line] == [0, 3]
    assert [step for step, _ in losses(out)] == [1, 2, 3]
    assert metrics["train_loss"] == pytest.approx(sum(loss for _, loss in losses(out)) / 3, rel=1e-3)

    assert main(["train", str(out / "config.yaml"), "--output_dir", str(new)]) == 0
    assert losses(new) == losses(out)
    assert yaml.safe_load((new / "config.yaml").read_text()) == yaml.safe_load((out / "config.yaml").read_text()) | {
        "output_dir": str(new)
    }

    capsys.readouterr()
    resume = ["train", str(out / "config.yaml"), "--resume_from_checkpoint", str(out / "checkpoint-2")]
    assert main(resume) == 0
    assert losses(out) == losses(new) and [line["step"] for line in history(out)] == [
        line["step"] for line in history(new)
    ]
    resumed = json.loads((out / "metrics.json").read_text())
    assert resumed["before"] == metrics["before"] and resumed["after"] == metrics["after"]
    assert resumed["train_seconds"] > metrics["train_seconds"]
    assert resumed["train_loss"] == pytest.approx(metrics["train_loss"], rel=1e-3)
    starts = json.loads((out / "environment.json").read_text())["starts"]
    assert [start["step"] for start in starts] == [0, 2] and "--resume_from_checkpoint" in starts[1]["command"]
    assert (starts[0]["seed"], starts[0]["dtype"], starts[0]["num_processes"]) == (42, "float32", 1)
    assert "before training: 0.0% of 20 held-out puzzles solved" in capsys.readouterr().out


def test_a_run_that_fails_in_its_first_step_leaves_nothing(tmp_path, monkeypatch, capsys):
    def fail(self, *args, **kwargs):
        assert {path.name for path in (tmp_path / "out").iterdir()} >= RECORDS
        raise ValueError("no memory")

    monkeypatch.setattr(LiftTrainer, "training_step", fail)
    assert main(["train", *TINY_RUN, "--output_dir", str(tmp_path / "out")]) == 2
    assert "no memory" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_one_that_is_killed_before_a_checkpoint_can_be_replaced(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for name in RECORDS:
        (out / name).write_text("{}")
    assert main(["train", *TINY_RUN, "--output_dir", str(out)]) == 2
    assert (
        main(["train", *TINY_RUN, "--output_dir", str(out), "--overwrite_output_dir", "true", "--max_steps", "1"]) == 0
    )
    assert len(json.loads((out / "environment.json").read_text())["starts"]) == 1
