"""The flags of `--task countdown`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lift.fields import option


@dataclass
class Arguments:
    """Countdown with three numbers: generated puzzles, scored by how many targets the model's expressions reach."""

    solved: ClassVar[str] = "correct"

    num_train_puzzles: int = option(60_000, "Puzzles to train on.", within="[1, inf)")
    num_test_puzzles: int = option(1_000, "Held-out puzzles to solve.", within="[1, inf)")
    test_puzzles: str | None = option(
        None, "JSONL file (numbers and target, or input and output) to solve as well, kept out of training."
    )
