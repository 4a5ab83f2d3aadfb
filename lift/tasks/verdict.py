"""`Verdict`: what a judge says of an answer, and the row that it needs to say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lift.errors import LiftError


@dataclass(frozen=True)
class Verdict:
    """What a judge says of one output, ready to be looked up."""

    correct: bool
    """Whether the answer is right: what a score counts."""

    answer: str | None
    """The answer as it was read from the output, None where there is none."""

    reason: str
    """Why the verdict is what it is, in a few words."""

    details: Mapping[str, Any] = field(default_factory=dict)
    """What else a task reports of an answer, ready for JSON; sudoku_4x4: valid, match, cells, empty, is_grid."""


def check_row(task: str, row: Mapping[str, Any], wanted: Sequence[str]) -> None:
    """Raise LiftError unless a row of `task` has the `wanted` fields."""
    if missing := [name for name in wanted if name not in row]:
        raise LiftError(
            f"a row of {task} must have {' and '.join(wanted)}, this one has no {' and no '.join(missing)}."
        )
