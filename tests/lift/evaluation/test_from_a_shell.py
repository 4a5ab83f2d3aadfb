"""As users start it: plain `lm_eval` with a task file, two processes, and a run that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from lift.tasks import sudoku
from lift.tasks.benchmarks.files import BENCHMARKS
from tests.lift.support.launchers import ENVIRONMENT
from tests.lift.support.tiny import tiny_model

pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install 'lift-kernels[eval]'")
pytestmark = pytest.mark.slow

NUM_PUZZLES, NUM_SAMPLES = 21, 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shell")
    tiny_model(5).save_pretrained(folder / "model")
    sudoku.build_tokenizer().save_pretrained(folder / "model")
    lines = [f"{puzzle.clues},{puzzle.solution}" for puzzle in sudoku.generate_puzzles(NUM_PUZZLES, seed=0)]
    (folder / "puzzles.csv").write_text("\n".join(["Puzzle,Solution", *lines]) + "\n")
    return folder


def environment(tmp_path):
    return os.environ | ENVIRONMENT | {"HF_DATASETS_CACHE": str(tmp_path / "datasets")}


def run(tmp_path, *words):
    result = subprocess.run(
        [sys.executable, "-m", *words], env=environment(tmp_path), capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def flags(folder, output):
    return [
        "eval", "--model", str(folder / "model"), "--tasks", "sudoku_4x4_clues", "--output_dir", str(output),
        "--data_files", f"sudoku_4x4_clues={folder / 'puzzles.csv'}", "--samples", str(NUM_SAMPLES),
        "--temperature", "1.0", "--batch_size", "8",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def unbroken(folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("unbroken")
    run(output, "lift.cli", *flags(folder, output))
    return said(output)


def said(output):
    (task,) = json.loads((output / "evaluation.json").read_text())["tasks"]
    texts = [[answer["text"] for answer in document["outputs"]] for document in task["documents"]]
    return task["scores"], [document["id"] for document in task["documents"]], texts


def test_plain_lm_eval_finds_the_model_by_the_task_file(folder, tmp_path):
    metadata = json.dumps({"data_files": {"sudoku_4x4_clues": str(folder / "puzzles.csv")}})
    out = run(
        tmp_path, "lm_eval", "--model", "lift", "--model_args", f"pretrained={folder / 'model'}", "--tasks",
        str(BENCHMARKS["sudoku_4x4_clues"]), "--metadata", metadata, "--limit", "5", "--output_path", str(tmp_path),
        "--log_samples", "--batch_size", "auto",
    )  # fmt: skip
    assert "sudoku_4x4_clues" in out and "score_as_published" in out
    (samples,) = tmp_path.rglob("samples_*.jsonl")
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    assert len(rows) == 5 and all(row["verdicts"][0]["reason"] for row in rows)


def test_two_processes_say_what_one_says(folder, tmp_path, unbroken):
    """21 puzzles on two processes: lm-eval hands the second one's last puzzle its answers twice."""
    launcher = [
        "torch.distributed.run",
        "--nproc_per_node",
        "2",
        "--rdzv_backend",
        "c10d",
        "--rdzv_endpoint",
        "localhost:0",
    ]
    run(tmp_path, *launcher, "-m", "lift.cli", *flags(folder, tmp_path))
    assert said(tmp_path) == unbroken
    assert {len(of_document) for of_document in unbroken[2]} == {NUM_SAMPLES}


def test_a_killed_run_ends_as_an_unbroken_one(folder, tmp_path, unbroken):
    process = subprocess.Popen(
        [sys.executable, "-m", "lift.cli", *flags(folder, tmp_path)], env=environment(tmp_path),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    path, deadline = tmp_path / "answers" / "answers-0.jsonl", time.monotonic() + 240
    while not (path.exists() and path.read_bytes().count(b"\n") >= 8) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = path.read_bytes().count(b"\n")
    assert 8 <= kept < NUM_PUZZLES * NUM_SAMPLES and not (tmp_path / "evaluation.json").exists()
    run(tmp_path, "lift.cli", *flags(folder, tmp_path))
    assert said(tmp_path) == unbroken
    assert path.read_bytes().count(b"\n") == NUM_PUZZLES * NUM_SAMPLES
