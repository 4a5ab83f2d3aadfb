"""What a model reads, writes and scores."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from transformers import AutoTokenizer

from lift.data import prepare_dataset
from lift.errors import LiftError
from lift.tasks import sudoku
from lift.tasks.sudoku import Puzzle
from tests.lift.tasks.sudoku.truth import ALL_GRIDS, BLANK, PUZZLE


def test_rows_become_examples_of_32_tokens():
    (example,) = prepare_dataset(sudoku.rows([PUZZLE]), sudoku.build_tokenizer(), max_length=32)
    assert example["prompt_length"] == 16
    assert example["input_ids"] == [2 + int(character) for character in PUZZLE.clues + PUZZLE.solution]


def test_the_tokenizer_reads_characters_and_survives_saving(tmp_path):
    sudoku.build_tokenizer().save_pretrained(tmp_path)
    for tokenizer in (sudoku.build_tokenizer(), AutoTokenizer.from_pretrained(tmp_path)):
        assert len(tokenizer) == 7
        assert (tokenizer.pad_token_id, tokenizer.mask_token_id) == (0, 1)
        names = ("bos_token", "eos_token", "cls_token", "sep_token", "unk_token")
        assert [getattr(tokenizer, name) for name in names] == [None] * 5
        encoded = tokenizer("0403[MASK]1")
        assert encoded["input_ids"] == [2, 6, 2, 5, 1, 3] and "token_type_ids" not in encoded
        assert tokenizer.decode(encoded["input_ids"]) == "0403[MASK]1"
        assert tokenizer(["12", "1"], padding=True)["attention_mask"] == [[1, 1], [1, 0]]
        with pytest.raises(Exception, match="WordLevel"):
            tokenizer("5")


def test_grids_are_decoded_character_by_character():
    tokenizer = sudoku.build_tokenizer()
    # "[PAD]" and "0" are no digits of a grid, and 7 lies outside the tokenizer, inside a padded vocabulary.
    assert sudoku.decode_grids(tokenizer, torch.tensor([[3, 4, 5, 6, 1, 0, 2, 7]])) == ["12340???"]


class Oracle(torch.nn.Module):
    """A masked language model that knows the answer to each prompt."""

    def __init__(self, answers: dict[str, str]) -> None:
        super().__init__()
        self.anchor = torch.nn.Parameter(torch.zeros(()))
        self.config = SimpleNamespace(vocab_size=7)
        self.answers = answers
        self.batch_sizes: list[int] = []

    def forward(self, input_ids, attention_mask=None):
        self.batch_sizes.append(len(input_ids))
        tokenizer = sudoku.build_tokenizer()
        prompts = ["".join(tokenizer.convert_ids_to_tokens(row)) for row in input_ids[:, :16].tolist()]
        answers = [prompt + self.answers[prompt] for prompt in prompts]
        targets = torch.tensor(tokenizer(answers)["input_ids"])
        return SimpleNamespace(logits=torch.nn.functional.one_hot(targets, 7).float())


@pytest.mark.parametrize("batch_size", [500, 3, 1])
def test_the_score_counts_valid_grids_and_matches_with_the_key(batch_size):
    right = sudoku.generate_puzzles(4, seed=0, num_blanks=(5, 5))
    broken, untouched = sudoku.generate_puzzles(2, seed=1, num_blanks=(6, 6))
    ambiguous = Puzzle(BLANK, ALL_GRIDS[0])
    answers = {puzzle.clues: puzzle.solution for puzzle in right}
    answers |= {
        broken.clues: broken.solution[1:] + "1",
        untouched.clues: untouched.clues,
        BLANK: ALL_GRIDS[5],
    }
    model = Oracle(answers)
    score = sudoku.evaluate(
        model,
        sudoku.build_tokenizer(),
        [*right, broken, untouched, ambiguous],
        batch_size=batch_size,
        steps=2,
    )
    assert score == sudoku.SudokuScore(5 / 7, 4 / 7, {5: (4, 4), 6: (0, 2), 16: (1, 1)})
    assert sum(model.batch_sizes) == 2 * 7 and max(model.batch_sizes) == min(batch_size, 7)


def test_a_score_needs_puzzles_and_a_character_tokenizer():
    tokenizer = sudoku.build_tokenizer()
    with pytest.raises(LiftError, match="at least one puzzle"):
        sudoku.evaluate(Oracle({}), tokenizer, [])

    def by_pairs(texts, **kwargs):
        return {"input_ids": [[0] * 8 for _ in texts]}

    with pytest.raises(LiftError, match="must give each prompt 16 tokens"):
        sudoku.evaluate(Oracle({}), by_pairs, [PUZZLE])
