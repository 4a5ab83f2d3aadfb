"""Training runs as their users meet them: what they print and leave."""

from __future__ import annotations

import json

from transformers import AutoModelForMaskedLM, AutoTokenizer

from lift.cli import main
from tests.lift.cli.support import TINY_RUN
from tests.transformers_version import needs_packing


def test_a_task_run_leaves_model_metrics_and_pictures(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["train", *TINY_RUN, "--output_dir", str(out)]) == 0
    assert {p.name for p in out.iterdir()} >= {
        "model.safetensors", "config.json", "tokenizer.json", "metrics.json", "loss_curve.png", "accuracy_by_difficulty.png",
    }  # fmt: skip
    metrics = json.loads((out / "metrics.json").read_text())
    assert (out / "metrics.json").stat().st_mode == (out / "config.json").stat().st_mode
    assert metrics["steps"] == 3 and 0 <= metrics["after"]["held_out"]["valid"] <= 1
    assert sum(n for _, n in metrics["after"]["held_out"]["by_blanks"].values()) == 20
    model, tokenizer = AutoModelForMaskedLM.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    assert model.config.mask_token_id == tokenizer.mask_token_id
    shown = capsys.readouterr().out
    for words in (
        "before training: 0.0% of 20 held-out puzzles solved",
        "after training:",
        "solved step by step",
        "wrote",
    ):
        assert words in shown

    assert main(["train", *TINY_RUN, "--output_dir", str(out)]) == 2
    assert "is not empty: choose another, continue with --resume_from_checkpoint true" in capsys.readouterr().err
    assert main(["train", *TINY_RUN, "--output_dir", str(out), "--overwrite_output_dir", "true"]) == 0

    assert main(["sample", "--model", str(out), "--prompt", "0204300000100003"]) == 0
    sampled = capsys.readouterr().out.strip().splitlines()[-1]
    assert len(sampled) == 16 and set(sampled) <= set("01234")


def test_own_rows_train_in_every_method_and_resume(tmp_path, model_folder, rows_file, capsys):
    columns = ["--prompt_column", "question", "--completion_column", "answer", "--max_length", "40"]
    for method in ("sft", "lift2", "lift3"):
        out = tmp_path / method
        arguments = [
            "train", "--model_name_or_path", str(model_folder), "--train_data", str(rows_file), *columns, "--method", method,
            "--num_eval_rows", "3", "--output_dir", str(out), "--max_steps", "2", "--save_steps", "1",
        ]  # fmt: skip
        assert main(arguments) == 0
        assert json.loads((out / "metrics.json").read_text())["method"] == method
        assert (out / "checkpoint-1" / "model.safetensors").is_file()
    (out / "checkpoint-9").mkdir()  # as a run leaves it that is killed while it writes
    assert main([*arguments, "--max_steps", "3", "--resume_from_checkpoint", "true"]) == 0
    assert json.loads((out / "metrics.json").read_text())["steps"] == 3
    capsys.readouterr()
    more = ["--max_steps", "4", "--seed", "9", "--resume_from_checkpoint", str(out)]  # a run stands for its newest
    assert main([*arguments, *more, "--output_dir", str(tmp_path / "more")]) == 0
    shown = "".join(capsys.readouterr().err.split())  # it is broken anywhere
    assert "checkpoint-3isnottheonethatwroteit,asthesediffer:seed42->9." in shown


@needs_packing
def test_own_rows_are_packed(tmp_path, model_folder, rows_file, capsys):
    arguments = [
        "train", "--model_name_or_path", str(model_folder), "--train_data", str(rows_file), "--prompt_column", "question",
        "--completion_column", "answer", "--max_length", "100", "--packing", "true", "--num_eval_rows", "3",
        "--output_dir", str(tmp_path / "out"), "--num_train_epochs", "2", "--per_device_train_batch_size", "1",
    ]  # fmt: skip
    assert main(arguments) == 2
    assert "packing leaves no padding to train on: set pad_in_loss=False" in capsys.readouterr().err
    assert main([*arguments, "--pad_in_loss", "false"]) == 0
    assert "9 examples were packed into 3 rows of at most 100 tokens, 96 % full" in capsys.readouterr().err
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["steps"] == 6


def test_published_puzzles_are_kept_out_and_scored(tmp_path, shared_dir):
    out = tmp_path / "out"
    published = shared_dir / "data" / "sudoku_4x4_test.csv"
    assert main(["train", *TINY_RUN, "--test_puzzles", str(published), "--output_dir", str(out)]) == 0
    scores = json.loads((out / "metrics.json").read_text())["after"]["published"]
    assert {"valid", "exact"} <= scores.keys() and scores["by_blanks"]["8"][1] == 250
