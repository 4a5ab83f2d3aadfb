"""Rows of the benchmarks from local files, whatever their columns are called."""

from __future__ import annotations

import json

import pytest

from lift.errors import LiftError
from lift.tasks.benchmarks.rows import load
from lift.tasks.countdown import find_solution
from lift.tasks.sudoku import solve


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize(
    ("task", "row", "expected"),
    [
        ("lift_gsm8k", {"question": "q", "answer": "so\n#### 18"}, {"question": "q", "answer": "so\n#### 18"}),
        ("lift_math500", {"problem": "q", "solution": "long", "answer": "\\frac12"}, {"question": "q", "answer": "\\frac12"}),
        ("lift_aime24", {"ID": "1", "Problem": "q", "Answer": 204}, {"question": "q", "answer": "204"}),
        ("lift_aime25", {"question": "q", "sol": ["70"]}, {"question": "q", "answer": "70"}),
        ("countdown", {"input": "30,100,93", "output": "23"}, {"numbers": [30, 100, 93], "target": 23}),
        ("lift_humaneval", {"task_id": "0", "prompt": "def f():", "test": "t", "entry_point": "f"}, {"prompt": "def f():", "test": "t", "entry_point": "f"}),
        ("lift_mbpp", {"prompt": "p", "test_list": ["assert 1"], "test_imports": []}, {"prompt": "p", "test_list": ["assert 1"], "test_imports": []}),
    ],
)  # fmt: skip
def test_a_local_file_gives_the_columns_of_prompt_and_judge(tmp_path, task, row, expected):
    path = write(tmp_path / "rows.jsonl", row)
    assert load(task, data_files={task: path, "other": "none"}, pretrained="x")["test"].to_list() == [expected]
    assert load(task, data_files=path)["test"].to_list() == [expected]


def test_puzzles_are_read_or_drawn(tmp_path):
    path = tmp_path / "puzzles.csv"
    path.write_text("Puzzle,Solution\n3102200002100320,3142243142131324\n")
    expected = [{"puzzle": "3102200002100320", "solution": "3142243142131324"}]
    assert load("sudoku_4x4", data_files={"sudoku_4x4": str(path)})["test"].to_list() == expected
    for row in load("sudoku_4x4_clues")["test"].to_list()[:3]:
        assert solve(row["puzzle"]) == [row["solution"]]
    drawn = load("countdown")["test"].to_list()
    assert len(drawn) == 256 and all(find_solution(row["numbers"], row["target"]) for row in drawn[:3])


def test_a_file_that_does_not_fit_is_one_sentence(tmp_path):
    with pytest.raises(LiftError, match="lift_gsm8k has no file at nowhere"):
        load("lift_gsm8k", data_files={"lift_gsm8k": "nowhere"})
    path = write(tmp_path / "rows.jsonl", {"question": "q"})
    with pytest.raises(LiftError, match="a row must have answer or Answer or sol, and the file has question"):
        load("lift_gsm8k", data_files={"lift_gsm8k": path})
