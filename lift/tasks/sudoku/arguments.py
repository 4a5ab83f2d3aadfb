"""The flags of `--task sudoku`."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Arguments:
    """4x4 Sudoku: generated puzzles, scored by how many grids the model solves."""

    num_train_puzzles: int = field(default=20_000, metadata={"help": "Puzzles to train on."})
    num_test_puzzles: int = field(default=1_000, metadata={"help": "Held-out puzzles to solve."})
    test_puzzles: str | None = field(
        default=None, metadata={"help": "CSV file (Puzzle, Solution) to solve as well, kept out of training."}
    )
