"""The rows of a benchmark: from a local file where one is named, from the Hub, or drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lift.data import load_rows
from lift.errors import LiftError
from lift.tasks.countdown import puzzles as countdown
from lift.tasks.sudoku import puzzles as sudoku

if TYPE_CHECKING:
    from datasets import Dataset

_NUM_PUZZLES, _PUZZLE_SEED = 256, 42


class _Source(NamedTuple):
    hub: tuple[str, str | None, str]
    """Hub id, configuration and split."""

    names: Mapping[str, tuple[str, ...]]
    """Column of the task -> names that files have for it, the first found counts."""


_QUESTION, _ANSWER = ("question", "problem", "Problem", "Question"), ("answer", "Answer", "sol")
_MBPP = {"prompt": ("prompt", "text"), "test_list": ("test_list",), "test_imports": ("test_imports",)}
_SOURCES = {
    "lift_gsm8k": _Source(("openai/gsm8k", "main", "test"), {"question": _QUESTION, "answer": _ANSWER}),
    "lift_math500": _Source(("HuggingFaceH4/MATH-500", None, "test"), {"question": _QUESTION, "answer": _ANSWER}),
    "lift_aime24": _Source(("Maxwell-Jia/AIME_2024", None, "train"), {"question": _QUESTION, "answer": _ANSWER}),
    "lift_aime25": _Source(("math-ai/aime25", None, "test"), {"question": _QUESTION, "answer": _ANSWER}),
    "lift_humaneval": _Source(
        ("openai/openai_humaneval", None, "test"), {name: (name,) for name in ("prompt", "test", "entry_point")}
    ),
    "lift_mbpp": _Source(("google-research-datasets/mbpp", "sanitized", "test"), _MBPP),
}
_OPTIONAL = ("test_imports",)


def load(task: str, data_files: Mapping[str, str] | str | None = None, **_: Any) -> dict[str, Dataset]:
    """Return {"test": rows} of a task, with the columns that its prompt and its judge read.

    Args:
        task: its name.
        data_files: files by task, from `--data_files` of `lift eval` or `--metadata '{"data_files": {...}}'` of
            `lm_eval`; one alone may be a text. Without one, rows come from the Hub, and puzzles are drawn.

    Raises: LiftError if a file is missing or lacks a column.
    """
    from datasets import Dataset

    path = data_files if isinstance(data_files, str) else (data_files or {}).get(task)
    if task in _PUZZLES:
        return {"test": Dataset.from_list(_PUZZLES[task](path))}
    source = _SOURCES[task]
    if path is not None and not Path(path).is_file():
        raise LiftError(f"data_files: {task} has no file at {path}: check the path.")
    name, configuration, split = source.hub
    rows = load_rows(name, split=split, name=configuration) if path is None else load_rows(path)
    chosen = {column: _column(task, rows.column_names, column, names) for column, names in source.names.items()}
    found = [
        {column: _answer(row[name]) if column == "answer" else row[name] for column, name in chosen.items() if name}
        for row in rows
    ]
    return {"test": Dataset.from_list(found)}


def _column(task: str, present: list[str], column: str, names: tuple[str, ...]) -> str | None:
    found = next((name for name in names if name in present), None)
    if found is None and column not in _OPTIONAL:
        raise LiftError(f"{task}: a row must have {' or '.join(names)}, and the file has {', '.join(present)}.")
    return found


def _answer(value: Any) -> str:
    """Return a key as text: of a list of solutions, as LIFT's AIME has them, the first."""
    return str(value[0] if isinstance(value, list) else value)


def _countdown_rows(path: str | None) -> list[dict[str, Any]]:
    drawn = countdown.read_puzzles(path) if path else countdown.evaluation_puzzles()
    return [puzzle.row() for puzzle in drawn]


def _sudoku_rows(path: str | None) -> list[dict[str, Any]]:
    drawn = sudoku.read_puzzles(path) if path else sudoku.generate_puzzles(_NUM_PUZZLES, seed=_PUZZLE_SEED)
    return [{"puzzle": puzzle.clues, "solution": puzzle.solution} for puzzle in drawn]


_PUZZLES: dict[str, Callable[[str | None], list[dict[str, Any]]]] = {
    "countdown": _countdown_rows,
    "countdown_numbers": _countdown_rows,
    "sudoku_4x4": _sudoku_rows,
    "sudoku_4x4_clues": _sudoku_rows,
}
