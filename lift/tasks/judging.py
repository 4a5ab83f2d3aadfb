"""Judge an output by the name of its task, rightly or as the published code of LIFT does."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from lift.errors import LiftError
from lift.tasks.verdict import Verdict, check_row

# Task -> the package whose `judge` and `published` modules judge it.
JUDGES = {
    "gsm8k": "gsm8k",
    "math500": "mathematics",
    "aime24": "mathematics",
    "aime25": "mathematics",
    "countdown": "countdown",
    "sudoku_4x4": "sudoku",
}


def judge(task: str, output: str, reference: Mapping[str, Any]) -> Verdict:
    """Judge what a model wrote. No output makes it raise, is run as code, or takes longer than a second; any thread may
    ask. The first answer in mathematics starts a process that stays, which takes a few seconds more.

    Args:
        task: one of `JUDGES`.
        output: the model's text, with or without its special tokens.
        reference: fields of the task's row: `answer` (gsm8k, math500, aime24, aime25), `numbers` and `target`
            (countdown), or `puzzle` and `solution` (sudoku_4x4).
    Raises: LiftError if no task has this name, the row lacks a field, or math-verify is needed and not installed.
    """
    return _module(task, "judge").judge(output, _checked(task, reference))


def score_as_published(task: str, output: str, reference: Mapping[str, Any]) -> float:
    """Return what the published scorer of LIFT counts for an output, to compare with published figures.

    1 or 0, and for sudoku_4x4 the number of empty cells right (of `details["empty"]` in `judge`). It differs from the
    right verdict by up to 2 points on GSM8K and MATH500, in both directions: never compare the two unsaid.
    Where the published code hangs or runs what it was given, this returns 0.

    Args and Raises: as for `judge`.
    """
    return float(_module(task, "published").score(output, _checked(task, reference)))


def _module(task: str, name: str) -> Any:
    if task not in JUDGES:
        raise LiftError(f"no judge for the task {task!r}: use one of {', '.join(JUDGES)}.")
    return import_module(f"lift.tasks.{JUDGES[task]}.{name}")


def _checked(task: str, reference: Mapping[str, Any]) -> Mapping[str, Any]:
    wanted = {"countdown": ("numbers", "target"), "sudoku_4x4": ("puzzle", "solution")}.get(task, ("answer",))
    check_row(task, reference, wanted)
    return reference
