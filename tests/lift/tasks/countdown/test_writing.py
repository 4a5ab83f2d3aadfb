"""How puzzles are written for training: solved, short, and read back."""

from __future__ import annotations

import pytest

from lift.errors import LiftError
from lift.tasks import judge
from lift.tasks.countdown import CountdownPuzzle, find_solution, generate_puzzles
from lift.tasks.countdown.writing import find_expression, read_prompt, rows, write_prompt


def test_every_row_is_right_by_the_judge():
    for narrow in ({}, {"numbers_within": (1, 9), "targets_within": (1, 60)}):
        puzzles = generate_puzzles(300, seed=1, **narrow)
        for puzzle, row in zip(puzzles, rows(puzzles), strict=True):
            assert judge("countdown", row["completion"], puzzle.row()).correct
            assert read_prompt(row["prompt"]) == CountdownPuzzle(
                tuple(sorted(puzzle.numbers, reverse=True)), puzzle.target
            )


def test_small_puzzles_have_an_expression_wherever_they_have_a_solution():
    for numbers in ((1, 2, 3), (7, 7, 2), (4, 6, 9), (1, 1, 8)):
        for target in range(1, 80):
            found = find_expression(CountdownPuzzle(numbers, target))
            assert (found is None) == (find_solution(numbers, target) is None), (numbers, target)


@pytest.mark.parametrize(
    ("numbers", "target", "expression"),
    [
        ((30, 100, 93), 23, "(93+30)-100"),
        ((2, 3, 6), 1, "(6-3)-2"),
        ((2, 3, 4), 24, "(4*3)*2"),
        ((48, 78, 61), 6, "78/(61-48)"),
    ],
)
def test_sums_come_before_products(numbers, target, expression):
    assert find_expression(CountdownPuzzle(numbers, target)) == expression


def test_a_prompt_is_read_in_any_order_and_what_asks_no_puzzle_is_none():
    assert read_prompt(" 30, 100 ,93 = 23 ") == CountdownPuzzle((30, 100, 93), 23)
    assert write_prompt({"numbers": [30, 100, 93], "target": 23}) == "100,93,30=23"
    for text in ("", "what is 2 + 2?", "1=2", "1,2,3", "1,2,-3=4"):
        assert read_prompt(text) is None


def test_a_puzzle_without_a_solution_cannot_be_trained_on():
    with pytest.raises(LiftError, match="the puzzle 3,2,1=100 has no solution to train on: leave it out"):
        rows([CountdownPuzzle((1, 2, 3), 100)])
