"""The flags of `--task sudoku`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lift.fields import option


@dataclass
class Arguments:
    """4x4 Sudoku: generated puzzles, scored by how many grids the model solves."""

    solved: ClassVar[str] = "valid"

    num_train_puzzles: int = option(20_000, "Puzzles to train on.", within="[1, inf)")
    num_test_puzzles: int = option(1_000, "Held-out puzzles to solve.", within="[1, inf)")
    test_puzzles: str | None = option(None, "CSV file (Puzzle, Solution) to solve as well, kept out of training.")
