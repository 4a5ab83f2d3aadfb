"""A small model, rows, and a terminal of known width."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lift.tasks import sudoku
from tests.lift.support.tiny import tiny_model


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    tiny_model().save_pretrained(folder)
    sudoku.build_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def rows_file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    rows = [{"question": p.clues, "answer": p.solution} for p in sudoku.generate_puzzles(12, seed=0)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(params=[60, 80, 200])
def columns(request, monkeypatch) -> int:
    """The width of the terminal."""
    monkeypatch.setenv("COLUMNS", str(request.param))
    return request.param
