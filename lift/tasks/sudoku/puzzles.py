"""Puzzles with exactly one solution, drawn at random or read from a file."""

from __future__ import annotations

import csv
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from lift.errors import LiftError
from lift.tasks.sudoku.rules import NUM_CELLS, grid_strings, is_unique, is_valid_solution, solve

# No puzzle with fewer than 4 clues has a single solution.
MAX_BLANKS = 12


@dataclass(frozen=True)
class Puzzle:
    """A puzzle and its key: 16 characters each, row by row, "0" for an empty cell."""

    clues: str
    solution: str

    @property
    def num_blanks(self) -> int:
        return self.clues.count("0")


def generate_puzzles(
    num_puzzles: int,
    *,
    seed: int,
    num_blanks: tuple[int, int] = (4, 11),
    exclude: Collection[str] = frozenset(),
) -> list[Puzzle]:
    """Draw distinct puzzles with exactly one solution, spread evenly over the number of blank cells.

    All puzzles with the same number of blanks have the same chance. The default range leaves out both ends:
    with fewer than 4 blanks a puzzle is nearly given away and few exist (4608 with one blank), and with 12
    blanks, the most that a single solution allows, there are 25,728, a tenth of those with 11. Where a number
    of blanks runs out of puzzles, the others fill up. Puzzles may share a solution: there are only 288.

    Args:
        num_puzzles: at least 1.
        seed: equal seeds (and other arguments) give equal lists.
        num_blanks: lowest and highest number of blank cells, in 0 to 12.
        exclude: clues that must not appear, such as those of a test set.
    Returns: the puzzles in random order.
    Raises: LiftError if the range is wrong, a clue string to exclude is malformed, or too few puzzles exist.
    """
    low, high = num_blanks
    if not 0 <= low <= high <= MAX_BLANKS:
        raise LiftError(f"num_blanks must be a range within 0 to {MAX_BLANKS}, got {low} to {high}.")
    if num_puzzles < 1:
        raise LiftError(f"num_puzzles must be at least 1, got {num_puzzles}.")

    levels = range(low, high + 1)
    excluded: dict[int, set[str]] = {blanks: set() for blanks in levels}
    for clues in exclude:
        if len(solve(clues)) == 1 and clues.count("0") in excluded:
            excluded[clues.count("0")].add(clues)

    num_shown = np.array([mask.bit_count() for mask in range(1 << NUM_CELLS)])
    masks = {blanks: np.flatnonzero(num_shown == NUM_CELLS - blanks) for blanks in levels}
    pools = {blanks: np.flatnonzero(is_unique()[masks[blanks]]) for blanks in levels}
    available = {blanks: len(pools[blanks]) - len(excluded[blanks]) for blanks in levels}
    if num_puzzles > sum(available.values()):
        raise LiftError(
            f"num_puzzles must be at most {sum(available.values())}, the number of puzzles with one solution "
            f"and {low} to {high} blanks outside the excluded ones, got {num_puzzles}. Widen num_blanks."
        )

    rng = random.Random(seed)
    grids = grid_strings()
    puzzles: list[Puzzle] = []
    for blanks, quota in _spread(num_puzzles, available).items():
        # Enough draws for the quota even if every excluded puzzle is among them.
        draws = pools[blanks][rng.sample(range(len(pools[blanks])), quota + len(excluded[blanks]))]
        wanted = [
            puzzle
            for mask, grid in zip(
                masks[blanks][draws // len(grids)].tolist(), (draws % len(grids)).tolist(), strict=True
            )
            if (puzzle := _hide(grids[grid], mask)).clues not in excluded[blanks]
        ]
        puzzles += wanted[:quota]
    rng.shuffle(puzzles)
    return puzzles


def _hide(solution: str, shown_cells: int) -> Puzzle:
    clues = "".join(cell if shown_cells >> i & 1 else "0" for i, cell in enumerate(solution))
    return Puzzle(clues, solution)


def _spread(total: int, available: dict[int, int]) -> dict[int, int]:
    """Share a total evenly among the keys, none above what it has available; the scarcest goes first."""
    quota = {}
    for keys_left, key in zip(range(len(available), 0, -1), sorted(available, key=available.__getitem__), strict=True):
        quota[key] = min(available[key], total // keys_left)
        total -= quota[key]
    return quota


def read_puzzles(path: str | PathLike[str]) -> list[Puzzle]:
    """Read puzzles from a CSV file with the columns Puzzle and Solution, 16 characters each.

    A key must solve its puzzle; the puzzle may have other solutions as well.

    Raises: LiftError if the file is missing, lacks a column, is empty, or has a row that is not a solved
    puzzle.
    """
    path = Path(path)
    if not path.is_file():
        raise LiftError(f"puzzle file {path} must be an existing CSV file. Check the path.")
    puzzles = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if missing := {"Puzzle", "Solution"} - set(reader.fieldnames or ()):
                raise LiftError(
                    f"puzzle file {path} must have the columns Puzzle and Solution, "
                    f"got {list(reader.fieldnames or ())} without {' and '.join(sorted(missing))}."
                )
            for record in reader:
                puzzle = Puzzle(record["Puzzle"] or "", record["Solution"] or "")
                where = f"puzzle file {path}, line {reader.line_num}"
                try:
                    is_solved = is_valid_solution(puzzle.clues, puzzle.solution)
                except LiftError as error:
                    raise LiftError(f"{where}: {error}") from None
                if not is_solved:
                    raise LiftError(f"{where}: Solution must solve {puzzle.clues}, got {puzzle.solution!r}.")
                puzzles.append(puzzle)
    except (UnicodeDecodeError, csv.Error) as error:
        raise LiftError(f"puzzle file {path} must be a CSV file in UTF-8, but reading it failed: {error}.") from error
    if not puzzles:
        raise LiftError(f"puzzle file {path} must hold at least one puzzle, got none.")
    return puzzles


def rows(puzzles: Sequence[Puzzle]) -> list[dict[str, str]]:
    """Return the puzzles as trainer input: the clues are the prompt, the key is the completion."""
    return [{"prompt": puzzle.clues, "completion": puzzle.solution} for puzzle in puzzles]
