"""What lets a masked-diffusion model read, solve and be scored on 4x4 Sudoku."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lift.errors import LiftError
from lift.tasks.answering import answer_prompts
from lift.tasks.closed_tokenizer import build_closed_tokenizer
from lift.tasks.sudoku.puzzles import Puzzle
from lift.tasks.sudoku.rules import NUM_CELLS, is_valid_solution

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast


@dataclass(frozen=True)
class SudokuScore:
    """How well a model solves puzzles: shares in [0, 1]; by_blanks maps a number of blanks to (valid, n)."""

    valid: float
    exact: float
    by_blanks: dict[int, tuple[int, int]]


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Return a character tokenizer for grids: [PAD], [MASK] and "0" to "4", with nothing added around the text.

    `save_pretrained` and `AutoTokenizer.from_pretrained` carry it over; text with any other character makes it raise.
    """
    return build_closed_tokenizer("01234", ".")


def decode_grids(tokenizer: PreTrainedTokenizerBase, input_ids: torch.Tensor) -> list[str]:
    """Return grids from token ids, one character a token: "1" to "4", "0" for [MASK], "?" for anything else.

    Args:
        input_ids: (B, 16) int64, the response part of what `lift.generate` returns.
    Returns: B strings of 16 characters; those of a sampler's `on_step` are the frames of `render_steps`.
    """
    characters = {tokenizer.convert_tokens_to_ids(digit): digit for digit in "1234"}
    characters[tokenizer.mask_token_id] = "0"
    return ["".join(characters.get(token, "?") for token in row) for row in input_ids.tolist()]


def evaluate(
    model: torch.nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    puzzles: Sequence[Puzzle],
    *,
    batch_size: int = 500,
    steps: int = NUM_CELLS,
) -> SudokuScore:
    """Let a model solve puzzles by low-confidence remasking; count the valid grids, and those of the key.

    A puzzle with several solutions can be solved validly without matching its key.

    Args:
        model: masked language model trained on `rows`; runs on its own device.
        tokenizer: one token a character, as `build_tokenizer` makes.
        puzzles: at least one.
        batch_size: puzzles a forward pass.
        steps: decoding steps in [1, 16]; 16 commits one cell a step.
    Raises: LiftError if there is no puzzle, or the tokenizer does not give one token a character.
    """
    if not puzzles:
        raise LiftError("evaluate: puzzles must hold at least one puzzle, got none.")
    answer_ids = answer_prompts(
        model, tokenizer, [puzzle.clues for puzzle in puzzles], prompt_length=NUM_CELLS, gen_length=NUM_CELLS,
        batch_size=batch_size, steps=steps,
    )  # fmt: skip
    num_valid = num_exact = 0
    by_blanks: dict[int, tuple[int, int]] = {}
    for puzzle, grid in zip(puzzles, decode_grids(tokenizer, answer_ids), strict=True):
        is_valid = is_valid_solution(puzzle.clues, grid)
        num_valid += is_valid
        num_exact += grid == puzzle.solution
        valid, total = by_blanks.get(puzzle.num_blanks, (0, 0))
        by_blanks[puzzle.num_blanks] = (valid + is_valid, total + 1)
    return SudokuScore(num_valid / len(puzzles), num_exact / len(puzzles), dict(sorted(by_blanks.items())))
