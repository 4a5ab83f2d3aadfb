"""A training run on 4x4 Sudoku: its puzzles, its score, and the example that it shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lift.data import prepare_dataset
from lift.sampling import generate
from lift.tasks.protocol import Metrics, Task
from lift.tasks.sudoku.arguments import Arguments
from lift.tasks.sudoku.display import render_steps
from lift.tasks.sudoku.model import build_tokenizer, decode_grids, evaluate
from lift.tasks.sudoku.plot import accuracy_by_difficulty
from lift.tasks.sudoku.puzzles import Puzzle, generate_puzzles, read_puzzles, rows
from lift.training.progress import shows_progress

if TYPE_CHECKING:
    from datasets import Dataset
    from rich.console import Console
    from transformers import PreTrainedTokenizerBase

    from lift.training import LiftConfig

_MAX_EVAL_ROWS = 500  # for the evaluation loss; all test puzzles are solved
# Held-out puzzles are as hard as the published test set, which has 8 blanks, or easier; training goes a little further.
_TEST_BLANKS, _TRAIN_BLANKS = (4, 8), (4, 10)


def open_task(arguments: Arguments, config: LiftConfig) -> Task:
    """Draw training and held-out puzzles from `config.seed`, and read the published ones if there are any.

    No held-out or published puzzle is among those to train on.

    Raises:
        LiftError: more puzzles are wanted than exist, or `test_puzzles` is not a file of solved puzzles.
    """
    published = [] if arguments.test_puzzles is None else read_puzzles(arguments.test_puzzles)
    exclude = {puzzle.clues for puzzle in published}
    test = generate_puzzles(arguments.num_test_puzzles, seed=config.seed, num_blanks=_TEST_BLANKS, exclude=exclude)
    train = generate_puzzles(
        arguments.num_train_puzzles,
        seed=config.seed,
        num_blanks=_TRAIN_BLANKS,
        exclude=exclude | {puzzle.clues for puzzle in test},
    )
    tokenizer = build_tokenizer()
    options: dict[str, Any] = {"max_length": config.max_length, "show_progress": shows_progress(config)}
    return SudokuTask(
        description="4x4 Sudoku",
        tokenizer=tokenizer,
        train=prepare_dataset(rows(train), tokenizer, **options),
        eval=prepare_dataset(rows(test[:_MAX_EVAL_ROWS]), tokenizer, **options),
        test=test,
        published=published,
    )


@dataclass
class SudokuTask:
    """Rows of puzzles, beside the puzzles that a model is asked to solve: held-out ones, and published ones if any."""

    description: str
    tokenizer: PreTrainedTokenizerBase
    train: Dataset
    eval: Dataset
    test: list[Puzzle]
    published: list[Puzzle]
    record: Mapping[str, str] = field(default_factory=lambda: {"task": "sudoku"})

    def score(self, model: Any) -> Metrics:
        """Solve the held-out and the published puzzles."""
        metrics = {"held_out": asdict(evaluate(model, self.tokenizer, self.test))}
        if self.published:
            metrics["published"] = asdict(evaluate(model, self.tokenizer, self.published))
        return metrics

    def sentence(self, metrics: Metrics) -> str:
        """Say which share of the puzzles was solved."""
        sentence = f"{metrics['held_out']['valid']:.1%} of {len(self.test):,} held-out puzzles solved"
        if self.published:
            published = metrics["published"]
            sentence += (
                f", {published['valid']:.1%} of {len(self.published):,} published ones "
                f"({published['exact']:.1%} as their key has it)"
            )
        return f"{sentence}, evaluation loss {metrics['eval_loss']:.3f}"

    def report(self, console: Console, model: Any, output: Path) -> None:
        """Print one of the hardest held-out puzzles as the model fills it."""
        puzzle = max(self.test, key=lambda p: p.num_blanks)
        console.print("a held-out puzzle, solved step by step:")
        console.print(render_steps(puzzle, self._decode(model, puzzle)))
        console.print(f"solve your own: lift sample --model {output} --prompt {puzzle.clues}")

    def draw(self, before: Metrics, after: Metrics, output: Path) -> None:
        """Draw the share of valid grids by number of blank cells."""

        def by_blanks(metrics: Metrics) -> dict[int, tuple[int, int]]:
            # JSON, from which the score before training may come, makes words of the numbers.
            return {int(blanks): counts for blanks, counts in metrics["held_out"]["by_blanks"].items()}

        accuracy_by_difficulty(by_blanks(before), by_blanks(after), output / "accuracy_by_difficulty.png")

    def _decode(self, model: Any, puzzle: Puzzle) -> list[str]:
        """Return the grid after each decoding step."""
        grids: list[str] = []
        prompt_ids = torch.tensor(self.tokenizer([puzzle.clues])["input_ids"], device=model.device)
        generate(
            model,
            prompt_ids,
            gen_length=len(puzzle.clues),
            mask_token_id=self.tokenizer.mask_token_id,
            on_step=lambda _, ids: grids.extend(decode_grids(self.tokenizer, ids[:, prompt_ids.shape[1] :])),
        )
        return grids
