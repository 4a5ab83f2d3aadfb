"""Puzzles: those that are drawn, and those that are read."""

from __future__ import annotations

import itertools
import time
from collections import Counter

import pytest

from lift.errors import LiftError
from lift.tasks import sudoku
from tests.lift.tasks.sudoku.truth import ALL_GRIDS, BLANK, PUZZLE, brute_force


def test_generated_puzzles_have_one_solution_and_spread_evenly():
    puzzles = sudoku.generate_puzzles(201, seed=3)
    assert all(brute_force(puzzle.clues) == [puzzle.solution] for puzzle in puzzles)
    assert len({puzzle.clues for puzzle in puzzles}) == 201
    by_blanks = Counter(puzzle.num_blanks for puzzle in puzzles)
    assert set(by_blanks) == set(range(4, 12)) and set(by_blanks.values()) == {25, 26}
    # In random order, and not only a few of the solutions.
    assert Counter(puzzle.num_blanks for puzzle in puzzles[:40]).keys() == by_blanks.keys()
    assert len({puzzle.solution for puzzle in puzzles}) > 100


def test_puzzles_are_a_function_of_the_seed():
    assert sudoku.generate_puzzles(50, seed=1) == sudoku.generate_puzzles(50, seed=1)
    assert sudoku.generate_puzzles(50, seed=1) != sudoku.generate_puzzles(50, seed=2)


def test_a_training_set_is_made_in_seconds():
    start = time.perf_counter()
    puzzles = sudoku.generate_puzzles(22_000, seed=0)
    assert time.perf_counter() - start < 15
    assert len({puzzle.clues for puzzle in puzzles}) == 22_000


def test_exactly_the_puzzles_of_12_blanks_that_exist_are_generated():
    truth = set()
    for cells in itertools.combinations(range(16), 4):
        seen = Counter(tuple(grid[i] for i in cells) for grid in ALL_GRIDS)
        for digits, count in seen.items():
            if count == 1:
                shown = dict(zip(cells, digits, strict=True))
                truth.add("".join(shown.get(i, "0") for i in range(16)))
    # A puzzle of several solutions was never a candidate, so that leaving it out takes nothing away.
    ambiguous = "1234" + "0" * 12
    puzzles = sudoku.generate_puzzles(len(truth), seed=0, num_blanks=(12, 12), exclude={ambiguous})
    assert {puzzle.clues for puzzle in puzzles} == truth
    with pytest.raises(LiftError, match=f"at most {len(truth)}"):
        sudoku.generate_puzzles(len(truth) + 1, seed=0, num_blanks=(12, 12))


def test_where_a_number_of_blanks_runs_out_the_others_fill_up():
    puzzles = sudoku.generate_puzzles(2000, seed=0, num_blanks=(0, 3))
    assert sorted(Counter(puzzle.num_blanks for puzzle in puzzles).items()) == [
        (0, 288),
        (1, 570),
        (2, 571),
        (3, 571),
    ]


def test_excluded_puzzles_do_not_appear():
    everything = sudoku.generate_puzzles(288 + 16 * 288, seed=0, num_blanks=(0, 1))
    excluded = {puzzle.clues for puzzle in everything[::2]}
    # Neither a puzzle of another size nor one with several solutions takes anything away.
    rest = sudoku.generate_puzzles(2448, seed=1, num_blanks=(0, 1), exclude=excluded | {PUZZLE.clues, BLANK})
    assert {puzzle.clues for puzzle in rest} == {puzzle.clues for puzzle in everything[1::2]}
    with pytest.raises(LiftError, match=r"at most 2448.*Widen num_blanks"):
        sudoku.generate_puzzles(2449, seed=1, num_blanks=(0, 1), exclude=excluded)


@pytest.mark.parametrize("num_blanks", [(-1, 4), (5, 4), (4, 13)])
def test_a_wrong_range_of_blanks_is_refused(num_blanks):
    with pytest.raises(LiftError, match="num_blanks must be a range within 0 to 12"):
        sudoku.generate_puzzles(1, seed=0, num_blanks=num_blanks)


def test_no_puzzles_are_no_request():
    with pytest.raises(LiftError, match="num_puzzles must be at least 1, got 0"):
        sudoku.generate_puzzles(0, seed=0)


def test_the_published_test_set_is_read(shared_dir):
    puzzles = sudoku.read_puzzles(shared_dir / "data" / "sudoku_4x4_test.csv")
    assert len(puzzles) == 250 and {puzzle.num_blanks for puzzle in puzzles} == {8}
    num_ambiguous = sum(len(sudoku.solve(puzzle.clues)) > 1 for puzzle in puzzles)
    assert num_ambiguous == sum(len(brute_force(puzzle.clues)) > 1 for puzzle in puzzles)
    assert 0.2 < num_ambiguous / 250 < 0.3


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"Puzzle,Answer\n", "without Solution"),
        (b"", "without Puzzle and Solution"),
        (b"Puzzle,Solution\n", "at least one puzzle"),
        (b"Puzzle,Solution\n0403,1423324143122134\n", "line 2: a 4x4 Sudoku puzzle must be 16 characters"),
        (b"Puzzle,Solution\n0403320143000000\n", "line 2: Solution must solve 0403320143000000, got ''"),
        (b"Puzzle,Solution\n0403320143000000,1423324143122143\n", "line 2: Solution must solve"),
        (b"Puzzle,Solution\n\xff\xfe,1\n", "must be a CSV file in UTF-8"),
    ],
)
def test_a_wrong_puzzle_file_is_refused(tmp_path, content, complaint):
    path = tmp_path / "puzzles.csv"
    path.write_bytes(content)
    with pytest.raises(LiftError, match=complaint) as error:
        sudoku.read_puzzles(path)
    assert "puzzles.csv" in str(error.value)


def test_a_missing_puzzle_file_is_named(tmp_path):
    with pytest.raises(LiftError, match=r"nowhere\.csv must be an existing CSV file"):
        sudoku.read_puzzles(tmp_path / "nowhere.csv")


def test_rows_are_trainer_input():
    assert sudoku.rows([PUZZLE]) == [{"prompt": "0403320143000000", "completion": "1423324143122134"}]
