"""What lets a masked-diffusion model read, solve and be scored on Countdown with three numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from lift.errors import LiftError
from lift.statistics import Interval, wilson_interval
from lift.tasks.answering import answer_prompts
from lift.tasks.closed_tokenizer import build_closed_tokenizer
from lift.tasks.countdown.judge import judge
from lift.tasks.countdown.puzzles import CountdownPuzzle
from lift.tasks.countdown.writing import write_prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

NUM_NUMBERS = 3
MAX_NUMBER = 100
PROMPT_LENGTH = 2 * NUM_NUMBERS + 1
"""Tokens of "30,100,93=23"."""

ANSWER_LENGTH = 9
r"""Tokens of "\boxed{(30+93)-100}": the box, three numbers, two signs and two brackets."""

SUMS, PRODUCTS = "+ and -", "needs * or /"


@dataclass(frozen=True)
class CountdownScore:
    """How well a model solves puzzles: the share solved, in [0, 1], and its 95 % interval; by_operations maps what a
    puzzle asks for, `SUMS` or `PRODUCTS`, to (solved, n)."""

    correct: float
    interval: Interval
    by_operations: dict[str, tuple[int, int]]


def build_tokenizer() -> PreTrainedTokenizerFast:
    r"""Return a tokenizer of whole numbers from 1 to 100, `\boxed{`, `}` and the signs ( ) + - * / , =.

    `save_pretrained` and `AutoTokenizer.from_pretrained` carry it over; other text makes it raise.
    """
    numbers = map(str, range(1, MAX_NUMBER + 1))
    return build_closed_tokenizer(("\\boxed{", "}", *"()+-*/,=", *numbers), r"\\boxed\{|\d+|.")


def evaluate(
    model: object, tokenizer: PreTrainedTokenizerBase, puzzles: Sequence[CountdownPuzzle], *, batch_size: int = 500
) -> CountdownScore:
    """Let a model solve puzzles by low-confidence remasking, a token a step; judge them by `lift.tasks.judge`.

    Args:
        model: masked language model trained on `rows`; runs on its own device.
        tokenizer: what `build_tokenizer` makes.
        puzzles: at least one, of three numbers.
        batch_size: puzzles a forward pass.
    Raises: LiftError if there is no puzzle, or the tokenizer splits prompts differently.
    """
    if not puzzles:
        raise LiftError("evaluate: puzzles must hold at least one puzzle, got none.")
    answer_ids = answer_prompts(
        model, tokenizer, [write_prompt(puzzle.row()) for puzzle in puzzles], prompt_length=PROMPT_LENGTH,
        gen_length=ANSWER_LENGTH, batch_size=batch_size,
    )  # fmt: skip
    by_operations: dict[str, tuple[int, int]] = {}
    for puzzle, ids in zip(puzzles, answer_ids.tolist(), strict=True):
        is_right = judge(str(tokenizer.decode(ids, skip_special_tokens=True)), puzzle.row()).correct
        operations = SUMS if is_sum(puzzle) else PRODUCTS
        solved, total = by_operations.get(operations, (0, 0))
        by_operations[operations] = (solved + is_right, total + 1)
    num_solved = sum(solved for solved, _ in by_operations.values())
    return CountdownScore(
        num_solved / len(puzzles), wilson_interval(num_solved, len(puzzles)), dict(sorted(by_operations.items()))
    )


def is_sum(puzzle: CountdownPuzzle) -> bool:
    """Return whether + and - alone reach the target."""
    signs = product((1, -1), repeat=len(puzzle.numbers))
    return any(sum(s * n for s, n in zip(of, puzzle.numbers, strict=True)) == puzzle.target for of in signs)
