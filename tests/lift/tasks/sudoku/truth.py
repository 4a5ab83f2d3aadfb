"""An independent truth about 4x4 Sudoku: the rules by units, and solutions by brute force."""

from __future__ import annotations

from lift.tasks.sudoku import Puzzle

BLANK = "0" * 16


PUZZLE = Puzzle("0403320143000000", "1423324143122134")


UNITS = [
    *([4 * r + c for c in range(4)] for r in range(4)),
    *([4 * r + c for r in range(4)] for c in range(4)),
    *([4 * (r + i) + c + j for i in (0, 1) for j in (0, 1)] for r in (0, 2) for c in (0, 2)),
]


def obeys_the_rules(grid: str) -> bool:
    return len(grid) == 16 and all({grid[i] for i in unit} == set("1234") for unit in UNITS)


def brute_force(clues: str) -> list[str]:
    """Every solution, by filling the first empty cell with all that no unit forbids."""
    if any(len(shown) != len(set(shown)) for u in UNITS for shown in [[clues[i] for i in u if clues[i] != "0"]]):
        return []
    cell = clues.find("0")
    if cell < 0:
        return [clues]
    return [s for digit in "1234" for s in brute_force(clues[:cell] + digit + clues[cell + 1 :])]


ALL_GRIDS = brute_force(BLANK)
