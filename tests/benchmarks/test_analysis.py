"""The cost of analysing is that of the whole command."""

from __future__ import annotations

import json
import subprocess

import pytest

from benchmarks import analysis
from lift.tasks import sudoku
from tests.lift.support.tiny import tiny_model


def test_the_command_is_measured_whole(tmp_path, capfd):
    tiny_model().save_pretrained(tmp_path / "model")
    sudoku.build_tokenizer().save_pretrained(tmp_path / "model")
    words = ["--model", str(tmp_path / "model"), "--task", "sudoku", "--num_train_puzzles", "30", "--limit", "20"]
    analysis.main(["--output", str(tmp_path / "results"), "--threads", "1", "--", *words])
    (path,) = (tmp_path / "results").glob("*-cpu-analysis.json")
    found = json.loads(path.read_text())
    assert 500 < found["tokens"] < 20 * 16 * 6 and 0 < found["processor_seconds"] and 100 < found["peak_mib"] < 4000
    assert found["command"].startswith("python -m benchmarks.analysis --output") and found["threads"] == 1
    assert f"{found['tokens']:,} masked tokens" in capfd.readouterr().out


def test_a_command_that_fails_leaves_no_result(tmp_path):
    with pytest.raises(subprocess.CalledProcessError):
        analysis.main(["--output", str(tmp_path), "--", "--model", str(tmp_path / "none")])
    assert not list(tmp_path.iterdir())
