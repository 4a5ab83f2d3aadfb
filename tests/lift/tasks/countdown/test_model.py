"""What a model reads and writes, and how its answers are counted."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from lift.errors import LiftError
from lift.statistics import wilson_interval
from lift.tasks.countdown import CountdownPuzzle, generate_puzzles
from lift.tasks.countdown.model import (
    ANSWER_LENGTH,
    PRODUCTS,
    PROMPT_LENGTH,
    SUMS,
    build_tokenizer,
    evaluate,
    is_sum,
)
from lift.tasks.countdown.writing import rows


class Knowing(torch.nn.Module):
    """A masked language model that knows the answer to each prompt."""

    def __init__(self, answers: dict[str, str]) -> None:
        super().__init__()
        self.anchor = torch.nn.Parameter(torch.zeros(()))
        self.tokenizer = build_tokenizer()
        self.config = SimpleNamespace(vocab_size=len(self.tokenizer))
        self.answers = answers

    def forward(self, input_ids, attention_mask=None):
        prompts = ["".join(self.tokenizer.convert_ids_to_tokens(row)) for row in input_ids[:, :PROMPT_LENGTH].tolist()]
        targets = torch.tensor(self.tokenizer([prompt + self.answers[prompt] for prompt in prompts])["input_ids"])
        return SimpleNamespace(logits=torch.nn.functional.one_hot(targets, len(self.tokenizer)).float())


def test_all_rows_have_one_length_in_tokens():
    tokenizer = build_tokenizer()
    for row in rows(generate_puzzles(200, seed=0)):
        prompt, answer = (tokenizer(row[name])["input_ids"] for name in ("prompt", "completion"))
        assert (len(prompt), len(answer)) == (PROMPT_LENGTH, ANSWER_LENGTH)
        assert tokenizer.decode(answer) == row["completion"]


@pytest.mark.parametrize("batch_size", [500, 3])
def test_the_score_counts_what_the_judge_calls_right(batch_size):
    puzzles = [
        CountdownPuzzle((30, 100, 93), 23), CountdownPuzzle((9, 5, 2), 6), CountdownPuzzle((2, 3, 4), 24),
        CountdownPuzzle((5, 5, 3), 50),
    ]  # fmt: skip
    answers = {
        "100,93,30=23": "\\boxed{93-(100-30)}",
        "9,5,2=6": "\\boxed{(9-5)+5}",  # a number that was not given so often
        "4,3,2=24": "\\boxed{(2*3)*4}",
        "5,5,3=50": "\\boxed{(5+5)*3}",
    }
    score = evaluate(Knowing(answers), build_tokenizer(), puzzles, batch_size=batch_size)
    assert score.correct == 0.5 and score.interval == wilson_interval(2, 4)
    assert score.by_operations == {SUMS: (1, 2), PRODUCTS: (1, 2)}


def test_sums_are_told_from_products():
    assert is_sum(CountdownPuzzle((30, 100, 93), 23)) and is_sum(CountdownPuzzle((1, 2, 3), 6))
    assert not is_sum(CountdownPuzzle((2, 3, 4), 24))


def test_a_score_needs_puzzles():
    with pytest.raises(LiftError, match="at least one puzzle"):
        evaluate(Knowing({}), build_tokenizer(), [])
