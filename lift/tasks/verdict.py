"""`Verdict`: what a judge says of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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
