"""The verdict on what a model wrote for a puzzle."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from lift.tasks.sudoku.answer import show_answer

PUZZLE = "0234341221434321"


@pytest.mark.parametrize(
    ("prompt", "answer", "verdict"),
    [
        (PUZZLE, "1234341221434321", "valid"),
        (PUZZLE, "2234341221434321", "not valid: a row, a column or a box lacks a digit"),
        (PUZZLE, "1334341221434321", "not valid: it changes a clue"),
        (PUZZLE, "?234341221434321", "not valid: a row, a column or a box lacks a digit"),
        (PUZZLE, "1234", "not valid: 4 characters, and a grid has 16"),
        ("1100000000000000", "1134341221434321", "not valid: this puzzle has no solution"),
    ],
)
def test_an_answer_is_shown_as_a_grid_with_a_verdict(prompt, answer, verdict):
    console = Console(file=io.StringIO())
    show_answer(console, prompt, answer)
    *grid, last = console.file.getvalue().splitlines()
    assert last == verdict
    assert len(grid) == (7 if len(answer) == 16 else 0)


def test_a_prompt_that_is_no_puzzle_shows_nothing():
    console = Console(file=io.StringIO())
    for prompt in ("what is 2 + 2?", "", "9" * 16):
        show_answer(console, prompt, "1234341221434321")
    assert console.file.getvalue() == ""
