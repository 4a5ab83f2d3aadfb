"""`lift train --dry_run`: the run as far as its first step, on the screen, and nothing left."""

from __future__ import annotations

import pytest

from lift.cli import main
from lift.cli.dry_run import steps_and_epochs
from lift.training import LiftTrainer
from tests.lift.cli.support import TINY_RUN
from tests.lift.support.trainers import trainer_of_uneven_rows


@pytest.fixture
def own(model_folder, rows_file) -> list[str]:
    return [
        "train", "--model_name_or_path", str(model_folder), "--train_data", str(rows_file), "--prompt_column", "question",
        "--completion_column", "answer", "--max_length", "30",
    ]  # fmt: skip


def test_a_dry_run_shows_all_and_writes_nothing(tmp_path, own, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(LiftTrainer, "train", lambda *_, **__: pytest.fail("it trained"))
    assert main([*own, "--dry_run", "--gradient_accumulation_steps", "2"]) == 0
    assert sorted(tmp_path.rglob("*")) == before
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    words = " ".join(shown.split())
    for expected in (
        "6 rows to train on, 6 to evaluate on", "of a row 30 30 30 30", "of its response 14 14 14 14",
        "6 of 6 rows (100.0%) are cut to fit max_length=30, and with them 12 of 192 tokens (6.2%)",
        "[text] masked and trained (kept)", ", mode ", "parameters", "3 optimiser steps, 3 epochs; 16 rows a step",
        "weights", "gradients", "optimiser state", "activations", "workspace of the loss", "scoring forward",
        "12 GB: fits", "80 GB: fits", "nothing was trained and nothing written",
    ):  # fmt: skip
        assert expected in words, expected
    assert words.count(": t 0.") == 2


def test_a_dry_run_meets_refusals_and_leaves_an_output_folder_alone(tmp_path, own, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    assert main([*own, "--dry_run", "true", "--output_dir", str(tmp_path / "out"), "--truncation", "filter"]) == 2
    assert "none of the 6 rows fits into max_length=30" in capsys.readouterr().err
    elsewhere = ["--output_dir", str(tmp_path / "out" / "new"), "--gradient_checkpointing", "true"]
    assert main([*own, "--dry_run", "true", *elsewhere]) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]
    assert main(own) == 2 and "no output folder: pass --output_dir" in capsys.readouterr().err
    no_batch = ["--dataloader_drop_last", "true", "--per_device_train_batch_size", "99"]
    assert main(["train", *TINY_RUN, "--dry_run", *no_batch]) == 2


@pytest.mark.parametrize("options", [{"max_steps": 7}, {"max_steps": -1, "num_train_epochs": 1.5}, {"max_steps": -1}])
def test_steps_are_those_that_the_run_takes(tmp_path, options):
    options = {"num_train_epochs": 2, "per_device_train_batch_size": 5, "gradient_accumulation_steps": 2} | options
    steps, epochs = steps_and_epochs(trainer_of_uneven_rows(tmp_path, **options))
    trainer = trainer_of_uneven_rows(tmp_path, **options)
    assert trainer.train().global_step == steps
    assert trainer.state.epoch == pytest.approx(epochs, abs=0.35)
