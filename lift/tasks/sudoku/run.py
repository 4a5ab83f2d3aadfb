"""A training run on 4x4 Sudoku: its puzzles, its score, and the example that it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lift.tasks.accuracy_plot import accuracy_by_difficulty
from lift.tasks.answering import answer_steps
from lift.tasks.protocol import Metrics, Task
from lift.tasks.puzzle_task import PuzzleTask, puzzle_rows
from lift.tasks.sudoku.arguments import Arguments
from lift.tasks.sudoku.display import render_steps
from lift.tasks.sudoku.model import SudokuScore, build_tokenizer, decode_grids, evaluate
from lift.tasks.sudoku.puzzles import Puzzle, generate_puzzles, read_puzzles, rows

if TYPE_CHECKING:
    from rich.console import Console

    from lift.training import LiftConfig

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
    return SudokuTask(
        description="4x4 Sudoku",
        test=test,
        published=published,
        **puzzle_rows(rows, train, test, build_tokenizer(), config),
    )


@dataclass
class SudokuTask(PuzzleTask[Puzzle]):
    """Rows of puzzles, beside the puzzles that a model is asked to solve."""

    record: Mapping[str, str] = field(default_factory=lambda: {"task": "sudoku"})

    def evaluate(self, model: Any, puzzles: Sequence[Puzzle]) -> SudokuScore:
        """Count the valid grids."""
        return evaluate(model, self.tokenizer, puzzles)

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
        steps = answer_steps(model, self.tokenizer, puzzle.clues, len(puzzle.clues))
        console.print("a held-out puzzle, solved step by step:")
        console.print(render_steps(puzzle, [decode_grids(self.tokenizer, ids)[0] for ids in steps]))
        console.print(f"solve your own: lift sample --model {output} --prompt {puzzle.clues}")

    def draw(
        self, before: Metrics, after: Metrics, output: Path, *, subtitle: str = "", formats: Sequence[str] = ("png",)
    ) -> None:
        """Draw the share of valid grids by number of blank cells."""

        def by_blanks(metrics: Metrics) -> dict[int, tuple[int, int]]:
            # JSON, from which the score before training may come, makes words of the numbers.
            return {int(blanks): counts for blanks, counts in metrics["held_out"]["by_blanks"].items()}

        accuracy_by_difficulty(
            by_blanks(before), by_blanks(after), output / "accuracy_by_difficulty.png",
            title="4x4 Sudoku solved, by difficulty", levels_label="Blank cells in the puzzle",
            solved_label="Valid grids", subtitle=subtitle, formats=formats,
        )  # fmt: skip
