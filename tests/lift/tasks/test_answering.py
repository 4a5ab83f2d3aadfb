"""Answers to the prompts of a task, and the states on the way to one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from lift.errors import LiftError
from lift.tasks import sudoku
from lift.tasks.answering import answer_prompts, answer_steps
from tests.lift.support.tiny import tiny_model

PROMPTS = [puzzle.clues for puzzle in sudoku.generate_puzzles(5, seed=0)]


class Echo(torch.nn.Module):
    """A masked language model that answers with the beginning of the prompt."""

    def __init__(self) -> None:
        super().__init__()
        self.anchor = torch.nn.Parameter(torch.zeros(()))
        self.config = SimpleNamespace(vocab_size=7)
        self.batch_sizes: list[int] = []

    def forward(self, input_ids, attention_mask=None):
        self.batch_sizes.append(len(input_ids))
        targets = torch.cat([input_ids[:, :16], input_ids[:, : input_ids.shape[1] - 16]], dim=1)
        return SimpleNamespace(logits=torch.nn.functional.one_hot(targets, 7).float())


def test_answers_come_in_the_order_of_the_prompts():
    model, tokenizer = Echo(), sudoku.build_tokenizer()
    ids = answer_prompts(model, tokenizer, PROMPTS, prompt_length=16, gen_length=6, batch_size=2, steps=3)
    assert [tokenizer.decode(row) for row in ids] == [prompt[:6] for prompt in PROMPTS]
    assert model.batch_sizes == [2] * 6 + [1] * 3


def test_the_steps_fill_one_mask_each_and_end_in_the_answer():
    model, tokenizer = tiny_model(3), sudoku.build_tokenizer()
    steps = answer_steps(model, tokenizer, PROMPTS[0], 6)
    assert [int((ids == 1).sum()) for ids in steps] == [5, 4, 3, 2, 1, 0]
    assert torch.equal(steps[-1], answer_prompts(model, tokenizer, PROMPTS[:1], prompt_length=16, gen_length=6))


def test_a_tokenizer_that_splits_prompts_otherwise_is_refused():
    with pytest.raises(LiftError, match="must give each prompt 15 tokens, but it splits them differently"):
        answer_prompts(tiny_model(), sudoku.build_tokenizer(), PROMPTS, prompt_length=15, gen_length=6)
