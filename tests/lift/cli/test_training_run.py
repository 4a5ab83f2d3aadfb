"""Training runs as their users meet them: what they print and leave."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM, AutoTokenizer, ModernBertConfig, ModernBertForMaskedLM

from lift import LiftTrainer
from lift.cli import main, training_run
from lift.training.checkpoints import newest_checkpoint
from lift.training.run_history import read_history
from tests.lift.cli.support import TINY_MODEL, TINY_RUN
from tests.lift.support.tiny import prose_tokenizer
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
    again = ["--output_dir", str(out), "--overwrite_output_dir", "true", "--figure_formats", "svg"]
    assert main(["train", *TINY_RUN, *again]) == 0
    drawn = {path.name: path.read_text("utf-8") for path in out.glob("*.svg")}
    assert drawn.keys() == {"loss_curve.svg", "accuracy_by_difficulty.svg"} and not list(out.glob("*.png"))
    assert all("lift3, new modernbert" in text and "seed 42" in text for text in drawn.values())

    capsys.readouterr()
    assert main(["sample", "--model", str(out), "--prompt", "0204300000100003"]) == 0
    captured = capsys.readouterr()
    assert "╭──────┬──────╮" in captured.err and "valid" in captured.err
    sampled = captured.out.strip().splitlines()[-1]
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


def test_the_text_of_a_data_format_is_in_front_of_sampled_prompts_too(tmp_path, capsys):
    tokenizer, folder, out = prose_tokenizer(), tmp_path / "model", tmp_path / "out"
    tokenizer.mask_token = "[MASK]"
    model = ModernBertForMaskedLM(ModernBertConfig(**(TINY_MODEL | {"vocab_size": len(tokenizer), "pad_token_id": 0})))
    for part in (model, tokenizer):
        part.save_pretrained(folder)
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"question": "2+2?", "answer": "add #### 4"}\n' * 6)
    arguments = ["--model_name_or_path", str(folder), "--train_data", str(rows), "--data_format", "gsm8k"]
    more = ["--max_length", "300", "--num_eval_rows", "2", "--max_steps", "1", "--save_steps", "1"]
    assert main(["train", *arguments, *more, "--output_dir", str(out)]) == 0
    for saved in (out, out / "checkpoint-1"):
        capsys.readouterr()
        assert main(["sample", "--model", str(saved), "--prompt", "2+2?", "--gen_length", "1"]) == 0
        assert "each prompt follows the text 'Respond in the following format" in capsys.readouterr().err


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


def test_a_short_run_shows_losses_and_evaluations_by_default(tmp_path, model_folder, rows_file, capfd):
    arguments = [
        "train", "--model_name_or_path", str(model_folder), "--train_data", str(rows_file), "--prompt_column", "question",
        "--completion_column", "answer", "--max_length", "40", "--num_eval_rows", "3", "--output_dir",
        str(tmp_path / "out"), "--max_steps", "3", "--save_strategy", "no",
    ]  # fmt: skip
    assert main(arguments) == 0
    shown = capfd.readouterr()
    assert "evaluating before training ..." in shown.out
    assert "step 3: held-out" in shown.err and "loss " in shown.err
    stop = [
        "--early_stopping_patience",
        "1",
        "--learning_rate",
        "0",
        "--max_steps",
        "9",
        "--overwrite_output_dir",
        "true",
    ]
    assert main([*arguments[:-2], *stop]) == 0
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["steps"] == 2
    assert "stopped early at step 2 of 9" in " ".join(capfd.readouterr().err.split())


def test_ctrl_c_stops_a_real_run_with_a_checkpoint_and_a_word_on_how_to_go_on(tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "lift.cli", "train", *TINY_RUN, "--max_steps", "100000", "--output_dir", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    shown = b""
    try:
        while b"loss " not in shown:  # steps are being taken
            chunk = process.stderr.read(4096)
            assert chunk, shown.decode()
            shown += chunk
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    step = int(re.search(r"stopped at step (\d+): go on with --resume_from_checkpoint true\n", said.decode())[1])
    assert process.returncode == 130 and "after training" not in said.decode()
    assert newest_checkpoint(out) == out / f"checkpoint-{step}" and not (out / "metrics.json").exists()


@pytest.mark.parametrize("where", ["_evaluate", "atomic_write"])
@pytest.mark.parametrize("length", [["--max_steps", "3"], ["--max_steps", "-1", "--num_train_epochs", "0.3"]])
def test_one_killed_after_its_last_step_ends_as_if_it_had_not_been(tmp_path, where, length, monkeypatch, capsys):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    call = ["train", *TINY_RUN, *length, "--eval_steps", "1", "--save_strategy", "steps", "--save_steps", "1"]
    call += ["--logging_steps", "2"]  # so that the log does not tell the loss of each step
    assert main([*call, "--output_dir", str(whole)]) == 0
    original = getattr(training_run, where)

    def kill(*args):
        if getattr(args[0], "state", None) is None or args[0].state.global_step:
            raise RuntimeError("killed")
        return original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(training_run, where, kill)
        with pytest.raises(RuntimeError, match="killed"):
            main([*call, "--output_dir", str(killed)])
    assert (killed / "checkpoint-3").is_dir()
    resume = [*call, "--output_dir", str(killed), "--resume_from_checkpoint", "true"]
    assert main(resume) == 0
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (killed, whole))
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in theirs)
    ours, theirs = (json.loads((folder / "metrics.json").read_text()) for folder in (killed, whole))
    for name in ("method", "steps", "before", "after"):
        assert ours[name] == theirs[name], name
    assert ours["train_loss"] == theirs["train_loss"] and ours["train_seconds"] > 0
    assert {path.name for path in killed.iterdir()} == {path.name for path in whole.iterdir()}
    ours, theirs = (read_history(folder / "history.jsonl") for folder in (killed, whole))
    known = ("step", "loss", "eval_loss", "score", "train_loss")
    assert [[line.get(key) for key in known] for line in ours] == [[line.get(key) for key in known] for line in theirs]
    assert [start["step"] for start in json.loads((killed / "environment.json").read_text())["starts"]] == [0, 3]
    capsys.readouterr()
    if "3" in length:
        assert main(resume) == 2
        assert "checkpoint-3 is at step 3, and max_steps=3 leaves nothing to train" in capsys.readouterr().err
        assert main([*resume, "--max_steps", "2"]) == 2
        assert "is at step 3, and max_steps=2 leaves nothing to train" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_evaluation_before_training_leaves_nothing(tmp_path, number, status, monkeypatch, capsys):
    def evaluate(self, *args, **kwargs):
        os.kill(os.getpid(), number)

    monkeypatch.setattr(LiftTrainer, "evaluate", evaluate)
    assert main(["train", *TINY_RUN, "--output_dir", str(tmp_path / "a" / "out")]) == status
    assert not (tmp_path / "a").exists() and "stopped" not in capsys.readouterr().out


def test_a_stopped_run_has_the_exit_status_of_its_signal_and_goes_on(tmp_path, monkeypatch, capsys):
    step = LiftTrainer.training_step

    def training_step(self, *args, **kwargs):
        if self.state.global_step == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, *args, **kwargs)

    call = ["train", *TINY_RUN, "--output_dir", str(tmp_path / "out")]
    with monkeypatch.context() as patch:
        patch.setattr(LiftTrainer, "training_step", training_step)
        assert main(call) == 143
    assert "stopped at step 2: go on with --resume_from_checkpoint true" in capsys.readouterr().out
    assert main([*call, "--resume_from_checkpoint", "true"]) == 0
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["steps"] == 3
