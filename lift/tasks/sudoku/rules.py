"""The rules of 4x4 Sudoku.

A grid is a string of 16 characters, row by row, "0" for an empty cell. Only 288 complete grids exist, so
whatever one may ask about a puzzle is answered exactly by looking at all of them.
"""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
from numpy.typing import NDArray

from lift.errors import LiftError

NUM_CELLS = 16


@cache
def all_grids() -> NDArray[np.uint8]:
    """Return the 288 complete grids, (288, 16) uint8, in lexicographic order."""
    grids: list[tuple[int, ...]] = []

    def extend(cells: tuple[int, ...]) -> None:
        if len(cells) == NUM_CELLS:
            grids.append(cells)
            return
        for row in itertools.permutations((1, 2, 3, 4)):
            same_column = any(row[i % 4] == cell for i, cell in enumerate(cells))
            above = cells[-4:] if len(cells) % 8 == 4 else ()
            same_box = bool(above) and any({*above[i : i + 2]} & {*row[i : i + 2]} for i in (0, 2))
            if not (same_column or same_box):
                extend(cells + row)

    extend(())
    return np.array(grids, dtype=np.uint8)


@cache
def grid_strings() -> tuple[str, ...]:
    """Return the same grids as strings of 16 characters."""
    return tuple("".join(map(str, grid)) for grid in all_grids().tolist())


@cache
def is_unique() -> NDArray[np.bool_]:
    """Return (65536, 288) bool: whether showing the cells of a bit mask (bit i: cell i) leaves one grid as solution.

    Two grids are confused by the cells on which they agree, and by every subset of these; so the agreements
    are marked and passed down to subsets, one cell at a time.
    """
    grids = all_grids()
    agreement = (grids[:, None] == grids[None]) @ (1 << np.arange(NUM_CELLS))  # (288, 288) bit masks
    first, second = np.nonzero(~np.eye(len(grids), dtype=bool))
    is_ambiguous = np.zeros((1 << NUM_CELLS, len(grids)), dtype=bool)
    is_ambiguous[agreement[first, second], first] = True
    for cell in range(NUM_CELLS):
        without_and_with = is_ambiguous.reshape(-1, 2, 1 << cell, len(grids))
        without_and_with[:, 0] |= without_and_with[:, 1]
    return ~is_ambiguous


def check_clues(clues: str) -> None:
    """Raise LiftError unless `clues` has the form of a puzzle."""
    if len(clues) != NUM_CELLS or not set(clues) <= set("01234"):
        raise LiftError(f'a 4x4 Sudoku puzzle must be 16 characters of "0" (empty) and "1" to "4", got {clues!r}.')


def solve(clues: str, limit: int = 2) -> list[str]:
    """Return the complete grids that extend a puzzle, in lexicographic order.

    Args:
        clues: 16 characters, "0" for an empty cell.
        limit: the most solutions to return; 2 suffices to tell a puzzle with one solution.
    Returns: up to `limit` grids of 16 characters; none if the clues contradict each other.
    Raises: LiftError if clues is not a puzzle.
    """
    check_clues(clues)
    shown = np.array([int(clue) for clue in clues], dtype=np.uint8)
    fits = ((all_grids() == shown) | (shown == 0)).all(axis=1)
    return [grid_strings()[index] for index in np.flatnonzero(fits)[:limit]]


def is_valid_solution(clues: str, grid: str) -> bool:
    """Return whether a grid keeps the clues and has 1 to 4 in each row, column and 2x2 box.

    Args:
        clues: 16 characters, "0" for an empty cell.
        grid: whatever a model wrote; a wrong length or a foreign character makes it invalid.
    Raises: LiftError if clues is not a puzzle.
    """
    check_clues(clues)
    return grid in grid_strings() and all(clue in ("0", cell) for clue, cell in zip(clues, grid, strict=True))
