"""Countdown puzzles, drawn so that each has a solution, or read from a file."""

from __future__ import annotations

import json
import random
from collections.abc import Collection
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from lift.errors import LiftError
from lift.tasks.countdown.solutions import MAX_NUMBERS, reachable


@dataclass(frozen=True)
class CountdownPuzzle:
    """Numbers to use once each, and what they must be worth."""

    numbers: tuple[int, ...]
    target: int

    def row(self) -> dict[str, Any]:
        """Return the puzzle as `lift.tasks.judge` takes it."""
        return {"numbers": list(self.numbers), "target": self.target}


def generate_puzzles(
    num_puzzles: int,
    *,
    seed: int,
    num_numbers: int = 3,
    numbers_within: tuple[int, int] = (1, 100),
    targets_within: tuple[int, int] = (1, 100),
    exclude: Collection[CountdownPuzzle] = frozenset(),
) -> list[CountdownPuzzle]:
    """Draw distinct puzzles, each with a solution.

    Numbers are drawn with replacement, evenly; the target is drawn evenly from the whole numbers in its range that they
    reach. Puzzles that differ in the order of their numbers alone are the same one.

    Args:
        num_puzzles: at least 1.
        seed: equal seeds (and other arguments) give equal lists.
        num_numbers: 2 to 6.
        numbers_within, targets_within: lowest and highest, at least 1.
        exclude: puzzles that must not appear, in any order of their numbers, such as those of a test set.
    Raises: LiftError if a range is wrong, or puzzles run out.
    """
    if num_puzzles < 1 or not 2 <= num_numbers <= MAX_NUMBERS:
        raise LiftError(
            f"num_puzzles must be at least 1 and num_numbers 2 to {MAX_NUMBERS}, got {num_puzzles} and {num_numbers}."
        )
    for name, (low, high) in (("numbers_within", numbers_within), ("targets_within", targets_within)):
        if not 1 <= low <= high:
            raise LiftError(f"{name} must be a range of whole numbers from 1, got {low} to {high}.")
    rng = random.Random(seed)
    seen = {(tuple(sorted(puzzle.numbers)), puzzle.target) for puzzle in exclude}
    puzzles: list[CountdownPuzzle] = []
    misses = 0
    while len(puzzles) < num_puzzles:
        numbers = tuple(rng.randint(*numbers_within) for _ in range(num_numbers))
        targets = sorted(
            int(value)
            for value in reachable(numbers)
            if value.denominator == 1 and targets_within[0] <= value <= targets_within[1]
        )
        target = rng.choice(targets) if targets else None
        if target is None or (key := (tuple(sorted(numbers)), target)) in seen:
            misses += 1
            if misses > 1000 + 20 * num_puzzles:
                raise LiftError(f"{num_puzzles} puzzles were asked for, {len(puzzles)} were found: widen the ranges.")
            continue
        seen.add(key)
        puzzles.append(CountdownPuzzle(numbers, target))
    return puzzles


def evaluation_puzzles() -> list[CountdownPuzzle]:
    """Return the 256 puzzles that `lift eval --tasks countdown` asks where it is given no file."""
    return generate_puzzles(256, seed=42)


def read_puzzles(path: str | PathLike[str]) -> list[CountdownPuzzle]:
    """Read puzzles from a JSONL file: `numbers` and `target`, or, as LIFT's, `input` ("30,100,93") and `output`.

    Raises: LiftError if the file is missing, empty, no JSONL, or has a row that is no puzzle.
    """
    path = Path(path)
    if not path.is_file():
        raise LiftError(f"puzzle file {path} must be an existing JSONL file. Check the path.")
    puzzles = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise LiftError(f"puzzle file {path} must be in UTF-8, but reading it failed: {error}.") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            puzzles.append(_read_row(line, f"puzzle file {path}, line {number}"))
    if not puzzles:
        raise LiftError(f"puzzle file {path} must hold at least one puzzle, got none.")
    return puzzles


def _read_row(line: str, where: str) -> CountdownPuzzle:
    try:
        row = json.loads(line)
        given = row["numbers"] if "numbers" in row else str(row["input"]).split(",")
        return CountdownPuzzle(
            tuple(int(number) for number in given), int(row["target"] if "target" in row else row["output"])
        )
    except (KeyError, TypeError, ValueError):
        raise LiftError(
            f"{where}: a puzzle must have numbers and target, or input and output, got {line[:80]!r}."
        ) from None
