"""The built-in tasks by name, and the modules that the folder of each must hold:

arguments.py    `Arguments`, a dataclass of the flags that only this task has; it imports no torch, for the help. Its
                class variable `solved` names the share of puzzles solved within a score
run.py          `open_task(arguments, config)`, which returns a `Task`
answer.py       `show_answer(console, prompt, answer)`, which shows and checks what a trained model wrote
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lift.errors import LiftError

if TYPE_CHECKING:
    from rich.console import Console

    from lift.tasks.protocol import Task
    from lift.training import LiftConfig

TASKS = ("sudoku", "countdown")


def task_arguments(name: str) -> type[Any]:
    """Return the dataclass of a task's own flags; its docstring says in a line what the task is.

    Raises:
        LiftError: no task has this name.
    """
    _check(name)
    return import_module(f"lift.tasks.{name}.arguments").Arguments


def open_task(name: str, arguments: Any, config: LiftConfig) -> Task:
    """Make and tokenise the rows of a task.

    Args:
        name: one of `TASKS`.
        arguments: an instance of `task_arguments(name)`.
        config: gives the seed of the rows, their greatest length in tokens, and whether bars are shown.

    Raises:
        LiftError: no task has this name, or its arguments ask for what it does not have.
    """
    _check(name)
    return import_module(f"lift.tasks.{name}.run").open_task(arguments, config)


def share_solved(name: str, score: Mapping[str, Any]) -> float:
    """Return the share of held-out puzzles solved, in [0, 1], of what `Task.score` returned or JSON kept of it."""
    return float(score["held_out"][task_arguments(name).solved])


def show_answer(name: str | None, console: Console, prompt: str, answer: str) -> None:
    """Show and check an answer of a model that was trained on a task; nothing where `name` is none of `TASKS`."""
    if name in TASKS:
        import_module(f"lift.tasks.{name}.answer").show_answer(console, prompt, answer)


def tasks_with_flag(flag: str) -> list[str]:
    """Return the names of the tasks that have `flag`, a field's name, among their own."""
    return [task for task in TASKS if flag in {field.name for field in dataclasses.fields(task_arguments(task))}]


def _check(name: str) -> None:
    if name not in TASKS:
        raise LiftError(f"unknown task {name!r}: use one of {', '.join(TASKS)}.")
