"""The commands of the first page, one after the other as a newcomer types them, at a small size."""

from __future__ import annotations

import json
import shlex
import subprocess

import pytest

from lift.cli import main
from tests.docs.pages import blocks

# What makes a command of the page small; the rest of it is run as it stands.
SMALLER = {
    "train": "--max_steps 2 --num_train_puzzles 64 --num_test_puzzles 16 --eval_strategy no --use_cpu true",
    "sample": "--no_animation",
    "eval": "--limit 2",
    "analyze": "--limit 4",
}


def test_from_nothing_to_a_model_that_is_analysed(tmp_path, monkeypatch, capsys):
    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    monkeypatch.chdir(tmp_path)
    done = []
    for line in "".join(blocks("docs/index.md", "shell")).splitlines():
        command, *words = shlex.split(line)
        if command == "lift":
            assert main([*words, *shlex.split(SMALLER[words[0]])]) == 0, capsys.readouterr().err
            done.append(words[0])
        else:
            subprocess.run(["sh", "-c", line], check=True, cwd=tmp_path)
    assert done == ["train", "sample", "eval", "analyze"]
    assert (tmp_path / "scores" / "evaluation.html").is_file() and (tmp_path / "analysis" / "analysis.html").is_file()
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [sorted(row) for row in rows] == [["completion", "prompt"]] * 2
