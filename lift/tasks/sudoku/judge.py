"""The right verdict on a written 4x4 Sudoku, and the score of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lift.statistics import Interval, bootstrap_interval, wilson_interval
from lift.tasks.sudoku.rules import is_valid_solution
from lift.tasks.sudoku.written_grid import find_grid
from lift.tasks.verdict import Verdict

CHANCE = 0.25
"""Share of empty cells that one digit everywhere gets right, on average: the least that a share must beat."""


def judge(output: str, reference: Mapping[str, Any]) -> Verdict:
    """Judge an output; right is every grid that keeps the clues and the rules, of which the key may be one of several.

    Its details: `valid` and `match` (equal to the key), `cells` and `empty` (empty cells equal to the key, of how
    many), and `is_grid`. Without exactly 16 cells there is no grid and no cell counts.

    Raises: LiftError if `reference["puzzle"]` is no puzzle.
    """
    puzzle, solution = str(reference["puzzle"]), str(reference["solution"])
    grid = find_grid(output)
    is_valid = is_valid_solution(puzzle, grid or "")
    blanks = [i for i, clue in enumerate(puzzle) if clue == "0"]
    details = {
        "valid": is_valid,
        "match": grid == solution,
        "cells": 0 if grid is None else sum(grid[i] == solution[i] for i in blanks),
        "empty": len(blanks),
        "is_grid": grid is not None,
    }
    if grid is None:
        return Verdict(False, None, "no grid of 16 cells", details)
    if is_valid:
        return Verdict(True, grid, "the key" if grid == solution else "valid, and not the key", details)
    return Verdict(False, grid, _fault(puzzle, grid), details)


@dataclass(frozen=True)
class SudokuTotals:
    """The score of a set of outputs, shares in [0, 1]."""

    num_puzzles: int
    valid: float
    valid_interval: Interval
    match: float
    cells: float
    """Empty cells equal to the key, of all empty cells: the published score. A perfect solver loses here where a puzzle
    has several solutions, about 6 points on the published set."""
    cells_interval: Interval
    num_no_grid: int
    chance: float = CHANCE


def summarise(verdicts: Sequence[Verdict]) -> SudokuTotals:
    """Return the score of the verdicts of `judge`; at least one."""
    details = [verdict.details for verdict in verdicts]
    cells, empty = ([row[name] for row in details] for name in ("cells", "empty"))
    num_valid = sum(verdict.correct for verdict in verdicts)
    return SudokuTotals(
        num_puzzles=len(verdicts),
        valid=num_valid / len(verdicts),
        valid_interval=wilson_interval(num_valid, len(verdicts)),
        match=sum(row["match"] for row in details) / len(verdicts),
        cells=sum(cells) / max(1, sum(empty)),
        cells_interval=bootstrap_interval(cells, empty) if any(empty) else Interval(0.0, 0.0),
        num_no_grid=sum(not row["is_grid"] for row in details),
    )


def _fault(puzzle: str, grid: str) -> str:
    if "0" in grid:
        return "a cell is left empty"
    if any(clue not in ("0", cell) for clue, cell in zip(puzzle, grid, strict=True)):
        return "a clue is changed"
    return "a row, a column or a box lacks a digit"
