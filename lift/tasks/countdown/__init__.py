"""Countdown: reach a target with given numbers, each once, by + - * /; puzzles, their files, and their judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lift.lazy_face import lazy_face

if TYPE_CHECKING:
    from lift.tasks.countdown.expression import evaluate, read_expression
    from lift.tasks.countdown.puzzles import CountdownPuzzle, generate_puzzles, read_puzzles
    from lift.tasks.countdown.solutions import find_solution, reachable

__all__ = [
    "CountdownPuzzle",
    "evaluate",
    "find_solution",
    "generate_puzzles",
    "reachable",
    "read_expression",
    "read_puzzles",
]

__getattr__, __dir__ = lazy_face(__name__, __file__)
