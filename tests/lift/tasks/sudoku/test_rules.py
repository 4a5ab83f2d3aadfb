"""The rules, against brute force."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lift.errors import LiftError
from lift.tasks import sudoku
from tests.lift.tasks.sudoku.truth import ALL_GRIDS, BLANK, brute_force, obeys_the_rules


def test_an_empty_puzzle_has_all_288_grids():
    assert len(ALL_GRIDS) == 288
    assert sudoku.solve(BLANK, limit=1000) == ALL_GRIDS


@settings(deadline=None)
@given(st.sampled_from(ALL_GRIDS), st.sets(st.integers(0, 15)), st.text("01234", min_size=16, max_size=16))
def test_solve_agrees_with_brute_force(grid, hidden, noise):
    puzzle = "".join("0" if i in hidden else cell for i, cell in enumerate(grid))
    for clues in (puzzle, noise):
        solutions = brute_force(clues)
        assert sudoku.solve(clues, limit=1000) == solutions
        assert sudoku.solve(clues) == solutions[:2]


@settings(deadline=None)
@given(st.sampled_from(ALL_GRIDS), st.integers(0, 15), st.sampled_from("01234?"))
def test_a_valid_solution_keeps_the_rules(grid, cell, character):
    other = grid[:cell] + character + grid[cell + 1 :]
    assert sudoku.is_valid_solution(BLANK, other) == obeys_the_rules(other)
    assert sudoku.is_valid_solution(grid, grid)


def test_a_valid_solution_keeps_the_clues():
    grid, other = ALL_GRIDS[0], ALL_GRIDS[-1]
    cell = next(i for i in range(16) if grid[i] != other[i])
    assert not sudoku.is_valid_solution("0" * cell + grid[cell] + "0" * (15 - cell), other)
    assert not sudoku.is_valid_solution(BLANK, grid[:15])
    assert not sudoku.is_valid_solution(BLANK, grid + "1")


@pytest.mark.parametrize("clues", ["", "1" * 15, "5" + "0" * 15, "." * 16])
def test_what_is_no_puzzle_is_refused(clues):
    for call in (
        lambda: sudoku.solve(clues),
        lambda: sudoku.is_valid_solution(clues, ALL_GRIDS[0]),
        lambda: sudoku.generate_puzzles(5, seed=0, exclude={clues}),
    ):
        with pytest.raises(LiftError, match='must be 16 characters of "0"'):
            call()
