"""What runs are judged by: decoded answers where a task gives them, and the held-out SFT loss; from their histories."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from lift.tasks import share_solved

Line = Mapping[str, Any]
"""Of a run's history.jsonl."""

_NUMBER_OF_DOCUMENTS = re.compile(r"eval_(.+)_n")


@dataclass(frozen=True)
class Outcome:
    """How runs are measured."""

    name: str
    label: str
    """With its unit, as tables and pictures show it."""

    read: Callable[[Line], float | None]
    """A line's value in the unit of the label, None where it has none."""

    more_is_better: bool
    digits: int


@dataclass(frozen=True)
class Point:
    """An outcome as training goes on."""

    step: float
    seconds: float
    value: float


def outcomes_of(
    histories: Iterable[Sequence[Line]], *, task: str | None, has_common_loss: bool
) -> list[Outcome]:  # fmt: skip
    """Return what all runs are measured by, first what judges them.

    Args:
        histories: the lines of each run.
        task: the built-in task, whose held-out puzzles every run solves before and after training.
        has_common_loss: whether the evaluation loss is the same of all methods.
    """
    found = []
    if task is not None:
        found.append(Outcome("solved", "puzzles solved (%)", partial(_solved, task), True, 1))
    histories = list(histories)
    keys = [{key for line in lines for key in line} for lines in histories]
    common = set.intersection(*keys) if keys else set()
    shares = {key for key in common if f"{key}_low" in common and _is_share(key, histories)}
    for match in filter(None, map(_NUMBER_OF_DOCUMENTS.fullmatch, sorted(common))):
        prefix = f"eval_{match[1]}_"
        scores = [key for key in sorted(shares) if key.startswith(prefix)]
        # The published verdict stands beside the right one, and is no second opinion on a method.
        for key in [f"{prefix}score"] if f"{prefix}score" in scores else scores:
            name = key.removeprefix("eval_")
            found.append(Outcome(name, name.replace("_", " "), partial(_number, key), True, 3))
    if has_common_loss:
        found.append(Outcome("loss", "held-out SFT loss (nats)", partial(_number, "eval_loss"), False, 4))
    return found


def series(lines: Sequence[Line], outcome: Outcome) -> list[Point]:
    """Return the points of an outcome in a run, in the order of their steps, the last of a step that has several."""
    points = {}
    for line in lines:
        value = outcome.read(line)
        if value is not None:
            points[line["step"]] = Point(line["step"], float(line.get("seconds") or 0.0), value)
    return [points[step] for step in sorted(points)]


def _solved(task: str, line: Line) -> float | None:
    return 100 * share_solved(task, line["score"]) if "score" in line else None


def _is_share(key: str, histories: Iterable[Sequence[Line]]) -> bool:
    """Whether all values lie in [0, 1], and more is better; of a perplexity less is."""
    return all(0 <= value <= 1 for lines in histories for line in lines if (value := _number(key, line)) is not None)


def _number(key: str, line: Line) -> float | None:
    value = line.get(key)
    return float(value) if isinstance(value, (int, float)) else None
