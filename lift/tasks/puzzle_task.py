"""What the training runs on puzzles have in common: held-out puzzles to solve, and published ones if there are any."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lift.data import prepare_dataset
from lift.tasks.protocol import Metrics
from lift.training.progress import shows_progress

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from lift.training import LiftConfig

MAX_EVAL_ROWS = 500  # for the evaluation loss; all test puzzles are solved

Puzzle = TypeVar("Puzzle")


@dataclass
class PuzzleTask(ABC, Generic[Puzzle]):
    """Rows of puzzles, beside the puzzles that a model is asked to solve; with its words and pictures, a `Task`."""

    description: str
    tokenizer: PreTrainedTokenizerBase
    train: Dataset
    eval: Dataset
    test: list[Puzzle]
    published: list[Puzzle]
    record: Mapping[str, str] = field(default_factory=dict)

    @abstractmethod
    def evaluate(self, model: Any, puzzles: Sequence[Puzzle]) -> Any:
        """Let a model solve puzzles; return a dataclass of what came of it."""

    def score(self, model: Any) -> Metrics:
        """Solve the held-out and the published puzzles."""
        metrics = {"held_out": asdict(self.evaluate(model, self.test))}
        if self.published:
            metrics["published"] = asdict(self.evaluate(model, self.published))
        return metrics


def puzzle_rows(
    rows: Callable[[Sequence[Puzzle]], list[dict[str, str]]], train: Sequence[Puzzle], test: Sequence[Puzzle],
    tokenizer: PreTrainedTokenizerBase, config: LiftConfig,
) -> dict[str, Any]:  # fmt: skip
    """Return the fields `tokenizer`, `train` and `eval` of a `PuzzleTask`, where `rows` writes puzzles for training."""
    options: dict[str, Any] = {"max_length": config.max_length, "show_progress": shows_progress(config)}
    return {
        "tokenizer": tokenizer,
        "train": prepare_dataset(rows(train), tokenizer, **options),
        "eval": prepare_dataset(rows(test[:MAX_EVAL_ROWS]), tokenizer, **options),
    }
