"""`--task sudoku`: generated puzzles, scored by how many grids the model solves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from lift.cli.arguments import DataArguments
from lift.cli.sources import Metrics, Source
from lift.data import prepare_dataset
from lift.sampling.sampler import generate
from lift.tasks import sudoku
from lift.tasks.sudoku.plot import accuracy_by_difficulty
from lift.training.config import LiftConfig
from lift.training.progress import shows_progress

_MAX_EVAL_ROWS = 500  # for the evaluation loss; all test puzzles are solved
# Held-out puzzles are as hard as the published test set, which has 8 blanks, or easier; training goes a little further.
_TEST_BLANKS, _TRAIN_BLANKS = (4, 8), (4, 10)


@dataclass
class SudokuSource(Source):
    """4x4 Sudoku: training puzzles, held-out puzzles, and optionally a published test set."""

    test: list[sudoku.Puzzle]
    published: list[sudoku.Puzzle]

    @classmethod
    def create(cls, data: DataArguments, config: LiftConfig) -> SudokuSource:
        published = [] if data.test_puzzles is None else sudoku.read_puzzles(data.test_puzzles)
        held_out = {puzzle.clues for puzzle in published}
        test = sudoku.generate_puzzles(
            data.num_test_puzzles, seed=config.seed, num_blanks=_TEST_BLANKS, exclude=held_out
        )
        train = sudoku.generate_puzzles(
            data.num_train_puzzles,
            seed=config.seed,
            num_blanks=_TRAIN_BLANKS,
            exclude=held_out | {puzzle.clues for puzzle in test},
        )
        tokenizer = sudoku.build_tokenizer()
        options: dict[str, Any] = {"max_length": config.max_length, "show_progress": shows_progress(config)}
        return cls(
            description="4x4 Sudoku",
            tokenizer=tokenizer,
            train=prepare_dataset(sudoku.rows(train), tokenizer, **options),
            eval=prepare_dataset(sudoku.rows(test[:_MAX_EVAL_ROWS]), tokenizer, **options),
            test=test,
            published=published,
        )

    def score(self, model: Any) -> Metrics:
        metrics = {"held_out": asdict(sudoku.evaluate(model, self.tokenizer, self.test))}
        if self.published:
            metrics["published"] = asdict(sudoku.evaluate(model, self.tokenizer, self.published))
        return metrics

    def sentence(self, metrics: Metrics) -> str:
        sentence = f"{metrics['held_out']['valid']:.1%} of {len(self.test):,} held-out puzzles solved"
        if self.published:
            published = metrics["published"]
            sentence += (
                f", {published['valid']:.1%} of {len(self.published):,} published ones "
                f"({published['exact']:.1%} as their key has it)"
            )
        return f"{sentence}, evaluation loss {metrics['eval_loss']:.3f}"

    def draw(self, before: Metrics, after: Metrics, output: Path) -> None:
        accuracy_by_difficulty(
            before["held_out"]["by_blanks"], after["held_out"]["by_blanks"], output / "accuracy_by_difficulty.png"
        )

    def report(self, console: Console, model: Any, output: Path) -> None:
        puzzle = max(self.test, key=lambda p: p.num_blanks)
        console.print("a held-out puzzle, solved step by step:")
        console.print(sudoku.render_steps(puzzle, self._decode(model, puzzle)))
        console.print(f"solve your own: lift sample --model {output} --prompt {puzzle.clues}")

    def _decode(self, model: Any, puzzle: sudoku.Puzzle) -> list[str]:
        """The grid after each decoding step."""
        frames: list[str] = []
        prompt_ids = torch.tensor(self.tokenizer([puzzle.clues])["input_ids"], device=model.device)
        generate(
            model,
            prompt_ids,
            gen_length=len(puzzle.clues),
            mask_token_id=self.tokenizer.mask_token_id,
            on_step=lambda _, ids: frames.extend(sudoku.decode_grids(self.tokenizer, ids[:, prompt_ids.shape[1] :])),
        )
        return frames
