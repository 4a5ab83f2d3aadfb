"""The whole command on real training, in this process; one call goes through a child."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lift.cli import main
from lift.cli.comparison import perform
from lift.cli.comparison.child import train_in_child
from lift.training.run_history import read_history
from tests.lift.cli.comparison.support import CONFIG, FakeTraining

WORDS = ["compare", "--methods", "sft,lift3", *CONFIG]


def train_here(words, log, lock):
    return main(["train", *words]), ""


def logged(folder: Path, name: str, key: str) -> list[float]:
    return [line[key] for line in read_history(folder / "runs" / name / "history.jsonl") if key in line]


def test_methods_are_trained_from_a_half_way_model_and_compared(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(perform, "train_in_child", train_here)
    out = tmp_path / "out"
    call = [*WORDS, "--seeds", "1", "--seed", "5", "--start_steps", "2", "--output_dir", str(out)]
    assert main(call) == 0
    shown = capsys.readouterr().out
    assert "Judged by puzzles solved (%)." in shown and f"wrote {out / 'comparison.json'}" in shown
    assert (out / "comparison.png").is_file()
    record = json.loads((out / "comparison.json").read_text("utf-8"))
    assert record["environment"]["versions"]["torch"] and record["failed"] == {}
    found = {run["arm"]: (run["steps"], run["outcomes"]) for run in record["runs"]}
    assert {arm: steps for arm, (steps, _) in found.items()} == {"sft": 3, "lift3": 3, "sft x1.22": 4}
    for one in record["differences"]:
        ours, theirs = (found[name][1][one["outcome"]] for name in (one["arm"], one["against"]))
        assert one["by_seed"] == {"5": ours - theirs} and one["interval"] is None
    assert {(one["outcome"], one["equal"]) for one in record["differences"]} == {
        (outcome, equal) for outcome in ("solved", "loss") for equal in ("steps", "compute")
    }  # fmt: skip
    names = ["start-seed-5", "sft-seed-5", "lift3-seed-5"]
    start, *others = (logged(out, name, "eval_loss") for name in names)
    assert {losses[0] for losses in others} == {start[-1]}  # methods go on where the half-way model ended
    start, sft, lift3 = (logged(out, name, "mean_t") for name in names)
    assert sft == lift3  # a seed draws the same times of the same rows for all methods
    assert start[0] != sft[0]  # and others for the start

    monkeypatch.setattr(perform, "train_in_child", lambda *arguments: pytest.fail("nothing is left to train"))
    assert main([*call, "--figure_formats", "svg"]) == 0 and (out / "comparison.svg").is_file()
    assert "4 of 4 runs are finished already" in capsys.readouterr().out


def test_own_rows_are_judged_by_their_loss_from_a_given_start(tmp_path, model_folder, rows_file, monkeypatch, capsys):
    monkeypatch.setattr(perform, "train_in_child", train_here)
    out = tmp_path / "out"
    config = [
        "--train_data", str(rows_file), "--prompt_column", "question", "--completion_column", "answer", "--max_length", "40",
        "--num_eval_rows", "3", "--num_train_epochs", "1", "--per_device_train_batch_size", "3", "--model_name_or_path", "none",
    ]  # fmt: skip
    start = ["--start", str(model_folder), "--seeds", "1", "--steps_only", "--output_dir", str(out)]
    assert main(["compare", "--methods", "sft,hard", *config, *start]) == 0
    assert "Judged by held-out SFT loss (nats)." in capsys.readouterr().out
    first = [logged(out, f"{arm}-seed-42", "eval_loss") for arm in ("sft", "hard")]
    assert first[0][0] == first[1][0]
    (difference,) = json.loads((out / "comparison.json").read_text("utf-8"))["differences"]
    assert difference["outcome"] == "loss" and difference["mean"] == first[1][-1] - first[0][-1] != 0


def test_failures_are_reported_behind_what_there_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(perform, "train_in_child", FakeTraining({"sft-seed-42": (-9, "")}))
    assert main([*WORDS, "--seeds", "2", "--output_dir", str(tmp_path / "out")]) == 2
    captured = capsys.readouterr()
    assert "Judged by puzzles solved" in captured.out
    assert "lift compare: 1 of 6 runs failed (sft-seed-42)" in captured.err and "tries them again" in captured.err


def test_a_child_is_lift_train(tmp_path):
    status, said = train_in_child(["--learning_rats", "1"], tmp_path / "log", 0)
    assert status == 2 and said.startswith("unknown argument '--learning_rats'")


def test_a_launcher_and_a_refused_command_leave_nothing(tmp_path, monkeypatch, capsys):
    out = ["--output_dir", str(tmp_path / "out")]
    assert main([*WORDS, *out, "--learning_rate", "fast"]) == 2
    assert "--learning_rate must be a number, got 'fast'" in capsys.readouterr().err
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main([*WORDS, *out]) == 2
    assert "call it without a launcher" in capsys.readouterr().err and not list(tmp_path.iterdir())
