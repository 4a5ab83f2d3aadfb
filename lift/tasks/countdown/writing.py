r"""How a puzzle of three numbers is written for a small model: "100,93,30=23" asks, "\boxed{(93+30)-100}" answers.

The largest number comes first, and an answer has one form of few: what remains to be learned is the arithmetic.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lift.errors import LiftError
from lift.tasks.countdown.puzzles import CountdownPuzzle

_PROMPT = re.compile(r"\s*(\d+(?:\s*,\s*\d+)+)\s*=\s*(\d+)\s*")


def write_prompt(row: Mapping[str, Any]) -> str:
    """Return the numbers of a puzzle's row, the largest first, and the target."""
    return f"{','.join(map(str, sorted(row['numbers'], reverse=True)))}={row['target']}"


def read_prompt(prompt: str) -> CountdownPuzzle | None:
    """Return the puzzle that a prompt asks, None where it asks none."""
    found = _PROMPT.fullmatch(prompt)
    return found and CountdownPuzzle(tuple(map(int, found[1].split(","))), int(found[2]))


def rows(puzzles: Sequence[CountdownPuzzle]) -> list[dict[str, str]]:
    """Return puzzles as trainer input, each with one expression that solves it: always 7 tokens.

    Raises: LiftError if one has no solution.
    """
    written = []
    for puzzle in puzzles:
        expression = find_expression(puzzle)
        if expression is None:
            raise LiftError(f"the puzzle {write_prompt(puzzle.row())} has no solution to train on: leave it out.")
        written.append({"prompt": write_prompt(puzzle.row()), "completion": f"\\boxed{{{expression}}}"})
    return written


def find_expression(puzzle: CountdownPuzzle) -> str | None:
    """Return an expression of three numbers that is worth the target, None where there is none.

    It does without * and / where that can be, and then without brackets at its end. Its intermediate value is whole and
    not negative: no puzzle needs another.
    """
    a, b, c = sorted(puzzle.numbers, reverse=True)
    found = [
        text
        for pair, last in (((a, b), c), ((a, c), b), ((b, c), a))
        for text, value in _expressions(*pair, last)
        if value == puzzle.target
    ]
    return min(found, key=lambda text: ("*" in text or "/" in text, text[0] != "("), default=None)


def _expressions(large: int, small: int, last: int) -> Iterator[tuple[str, int]]:
    """Yield the expressions that combine the first two numbers first, and their values."""
    for sign, middle in _combined(large, small):
        pair = f"({large}{sign}{small})"
        for outer, value in _combined(middle, last):
            yield f"{pair}{outer}{last}", value
        yield f"{last}-{pair}", last - middle
        if middle and last % middle == 0:
            yield f"{last}/{pair}", last // middle


def _combined(left: int, right: int) -> Iterator[tuple[str, int]]:
    yield from (("+", left + right), ("-", left - right), ("*", left * right))
    if left % right == 0:
        yield "/", left // right
