"""Tasks by name, as the model was trained to be asked."""

from __future__ import annotations

import pytest

from lift.cli.benchmark_tasks import open_tasks, task_names
from lift.errors import LiftError
from lift.tasks.countdown.puzzles import evaluation_puzzles
from lift.tasks.countdown.writing import write_prompt

pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install 'lift-kernels[eval]'")


def test_a_model_of_a_built_in_task_is_asked_in_its_form_and_every_other_in_words(tmp_path):
    (puzzles := tmp_path / "puzzles.csv").write_text("Puzzle,Solution\n3102200002100320,3142243142131324\n")
    names, files = ["sudoku_4x4", "countdown"], [f"sudoku_4x4={puzzles}"]
    for trained_on, asked in (
        ("sudoku", ["sudoku_4x4_clues", "countdown"]),
        ("countdown", ["sudoku_4x4", "countdown_numbers"]),
        (None, names),
    ):
        tasks = open_tasks(names, files, trained_on=trained_on)
        assert [task.config.task for task in tasks] == asked
        assert [len(list(task.test_docs())) for task in tasks] == [1, 256]
    numbers = open_tasks(["countdown_numbers"], [], trained_on=None)[0]
    asked = [numbers.doc_to_text(document) for document in numbers.test_docs()]
    assert asked == [write_prompt(puzzle.row()) for puzzle in evaluation_puzzles()]


def test_unknown_names_are_one_sentence(monkeypatch):
    class Empty:
        def __init__(self, **options) -> None: ...

        def load(self, specs):  # as lm-eval does, after seconds of reading its own tasks
            raise KeyError(f"unknown task {specs[0]!r}")

    with pytest.raises(LiftError, match="'other' is none of the tasks: write TASK=FILE"):
        open_tasks(["countdown"], ["other=x"], trained_on=None)
    for pair in ("countdown", "countdown="):
        with pytest.raises(LiftError, match="countdown has no file: write countdown=FILE"):
            open_tasks(["countdown"], [pair], trained_on=None)
    with pytest.raises(LiftError, match="no task is named"):
        open_tasks(task_names(","), [], trained_on=None)
    monkeypatch.setattr("lm_eval.tasks.TaskManager", Empty)
    with pytest.raises(LiftError, match="unknown task 'chess': lift eval --help lists the tasks"):
        open_tasks(["chess"], [], trained_on=None)


def test_names_stand_with_commas_between():
    assert task_names("a, b,,c") == ["a", "b", "c"]
