"""A training run on Countdown with three numbers: its puzzles, its score, and the example that it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lift.errors import LiftError
from lift.tasks.accuracy_plot import accuracy_by_difficulty
from lift.tasks.answering import answer_steps
from lift.tasks.countdown.arguments import Arguments
from lift.tasks.countdown.model import (
    ANSWER_LENGTH,
    MAX_NUMBER,
    NUM_NUMBERS,
    CountdownScore,
    build_tokenizer,
    evaluate,
)
from lift.tasks.countdown.puzzles import CountdownPuzzle, evaluation_puzzles, generate_puzzles, read_puzzles
from lift.tasks.countdown.writing import rows, write_prompt
from lift.tasks.protocol import Metrics, Task
from lift.tasks.puzzle_task import PuzzleTask, puzzle_rows

if TYPE_CHECKING:
    from rich.console import Console

    from lift.training import LiftConfig


def open_task(arguments: Arguments, config: LiftConfig) -> Task:
    """Draw training and held-out puzzles from `config.seed`, and read the published ones if there are any.

    None of those to train on is, in any order of its numbers, among the held-out and the published ones, nor among
    those of `lift eval --tasks countdown`.

    Raises:
        LiftError: more puzzles are wanted than exist, or `test_puzzles` is not a file of puzzles that can be asked.
    """
    published = [] if arguments.test_puzzles is None else read_puzzles(arguments.test_puzzles)
    for puzzle in published:
        if len(puzzle.numbers) != NUM_NUMBERS or not all(
            1 <= n <= MAX_NUMBER for n in (*puzzle.numbers, puzzle.target)
        ):
            raise LiftError(
                f"test_puzzles {arguments.test_puzzles}: a puzzle must have {NUM_NUMBERS} numbers and a target, all "
                f"from 1 to {MAX_NUMBER}, got {write_prompt(puzzle.row())}."
            )
    exclude = [*published, *evaluation_puzzles()]
    test = generate_puzzles(arguments.num_test_puzzles, seed=config.seed, exclude=exclude)
    train = generate_puzzles(arguments.num_train_puzzles, seed=config.seed, exclude=[*exclude, *test])
    return CountdownTask(
        description="Countdown with three numbers",
        test=test,
        published=published,
        **puzzle_rows(rows, train, test, build_tokenizer(), config),
    )


@dataclass
class CountdownTask(PuzzleTask[CountdownPuzzle]):
    """Rows of puzzles, beside the puzzles that a model is asked to solve."""

    record: Mapping[str, str] = field(default_factory=lambda: {"task": "countdown"})

    def evaluate(self, model: Any, puzzles: Sequence[CountdownPuzzle]) -> CountdownScore:
        """Count the expressions that reach their target."""
        return evaluate(model, self.tokenizer, puzzles)

    def sentence(self, metrics: Metrics) -> str:
        """Say which share of the puzzles was solved, with its interval."""
        shares = [f"{_share(metrics['held_out'])} of {len(self.test):,} held-out puzzles solved"]
        if self.published:
            shares.append(f"{_share(metrics['published'])} of {len(self.published):,} published ones")
        return f"{', '.join(shares)}, evaluation loss {metrics['eval_loss']:.3f}"

    def report(self, console: Console, model: Any, output: Path) -> None:
        """Print a held-out puzzle as the model answers it."""
        prompt = write_prompt(self.test[0].row())
        console.print("a held-out puzzle, answered step by step:")
        for number, ids in enumerate(answer_steps(model, self.tokenizer, prompt, ANSWER_LENGTH), start=1):
            written = str(self.tokenizer.decode(ids[0])).replace(str(self.tokenizer.mask_token), "·")
            console.print(f"  step {number}: {prompt} {written}", markup=False)
        console.print(f"ask your own: lift sample --model {output} --gen_length {ANSWER_LENGTH} --prompt {prompt}")

    def draw(
        self, before: Metrics, after: Metrics, output: Path, *, subtitle: str = "", formats: Sequence[str] = ("png",)
    ) -> None:
        """Draw the share of puzzles solved, those that + and - solve apart from the others."""
        accuracy_by_difficulty(
            before["held_out"]["by_operations"], after["held_out"]["by_operations"],
            output / "accuracy_by_difficulty.png", title="Countdown with three numbers",
            levels_label="What a puzzle asks for", solved_label="Targets reached", subtitle=subtitle, formats=formats,
        )  # fmt: skip


def _share(score: Mapping[str, Any]) -> str:
    low, high = score["interval"]
    return f"{score['correct']:.1%} ({low:.1%} to {high:.1%})"
