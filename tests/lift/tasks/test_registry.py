"""Every task has what the registry names, and is imported only when it is chosen."""

from __future__ import annotations

import dataclasses
import io
import json
import subprocess
import sys

import pytest
from rich.console import Console

from lift.errors import LiftError
from lift.statistics import Interval
from lift.tasks import TASKS, Task, open_task, share_solved, show_answer, task_arguments, tasks_with_flag
from lift.tasks.countdown.model import CountdownScore
from lift.tasks.sudoku.model import SudokuScore
from tests.lift.support.tiny import tiny_config

MEMBERS = {name for name in {*vars(Task), *Task.__annotations__} if not name.startswith("_")}


def test_the_tasks():
    assert TASKS == ("sudoku", "countdown")


@pytest.mark.parametrize("name", TASKS)
def test_each_task_has_flags_with_defaults_and_help_and_a_summary(name):
    arguments = task_arguments(name)
    assert arguments.__doc__ and "\n" not in arguments.__doc__
    assert arguments()  # every flag has a default
    assert all(field.metadata["help"] for field in dataclasses.fields(arguments))


@pytest.mark.parametrize("name", TASKS)
def test_each_task_opens_as_the_protocol_says(name, tmp_path):
    arguments = task_arguments(name)
    few = {field.name: 5 for field in dataclasses.fields(arguments) if isinstance(field.default, int)}
    task = open_task(name, arguments(**few), tiny_config(tmp_path))
    assert MEMBERS == {"description", "tokenizer", "train", "eval", "score", "sentence", "report", "draw", "record"}
    assert all(hasattr(task, member) for member in MEMBERS)
    assert {"input_ids", "prompt_length"} <= set(task.train.column_names)
    assert task.record["task"] == name
    trained_on = {tuple(ids) for ids in task.train["input_ids"]}
    assert not trained_on & {tuple(ids) for ids in task.eval["input_ids"]}


@pytest.mark.parametrize(
    ("name", "score"), [("sudoku", SudokuScore(0.25, 0.5, {})), ("countdown", CountdownScore(0.25, Interval(0, 1), {}))]
)
def test_each_task_knows_its_share_of_puzzles_solved(name, score):
    kept = {"held_out": dataclasses.asdict(score), "published": {}}
    assert share_solved(name, kept) == share_solved(name, json.loads(json.dumps(kept))) == 0.25


def test_an_unknown_task_is_refused(tmp_path):
    for call in (lambda: task_arguments("chess"), lambda: open_task("chess", None, tiny_config(tmp_path))):
        with pytest.raises(LiftError, match="unknown task 'chess': use one of sudoku"):
            call()


def test_an_answer_is_shown_by_its_task_and_by_no_other():
    console = Console(file=io.StringIO())
    for name in (None, "chess", "sudoku"):
        assert console.file.getvalue() == ""
        show_answer(name, console, "0234341221434321", "1234341221434321")
    assert console.file.getvalue().endswith("\nvalid\n")


def test_a_flag_leads_to_its_tasks():
    assert tasks_with_flag("num_train_puzzles") == ["sudoku", "countdown"]
    assert tasks_with_flag("learning_rate") == []


def test_the_flags_of_a_task_load_neither_its_run_nor_torch():
    code = (
        "import sys; from lift.tasks import TASKS; print('lift.tasks.sudoku' in sys.modules)\n"
        "from lift.tasks import task_arguments; task_arguments('sudoku')\n"
        "print('lift.tasks.sudoku.run' in sys.modules, 'torch' in sys.modules, 'transformers' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.split() == ["False"] * 4
