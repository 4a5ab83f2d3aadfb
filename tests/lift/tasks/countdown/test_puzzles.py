"""Puzzles that are drawn, and that are read."""

from __future__ import annotations

import pytest

from lift.errors import LiftError
from lift.tasks import judge
from lift.tasks.countdown import CountdownPuzzle, find_solution, generate_puzzles, read_puzzles


def test_drawn_puzzles_are_distinct_and_solvable():
    puzzles = generate_puzzles(60, seed=1)
    assert len({(tuple(sorted(p.numbers)), p.target) for p in puzzles}) == 60
    for puzzle in puzzles:
        assert len(puzzle.numbers) == 3 and all(1 <= n <= 100 for n in puzzle.numbers) and 1 <= puzzle.target <= 100
        solution = find_solution(puzzle.numbers, puzzle.target)
        assert judge("countdown", f"\\boxed{{{solution}}}", puzzle.row()).correct


def test_puzzles_are_a_function_of_the_seed():
    assert generate_puzzles(20, seed=1) == generate_puzzles(20, seed=1) != generate_puzzles(20, seed=2)


def test_excluded_puzzles_do_not_appear_in_any_order():
    small = {"num_numbers": 2, "numbers_within": (1, 4), "targets_within": (1, 4)}
    first = generate_puzzles(10, seed=1, **small)
    turned = [CountdownPuzzle(p.numbers[::-1], p.target) for p in first]
    later = generate_puzzles(5, seed=2, exclude=turned, **small)
    assert not {(frozenset(p.numbers), p.target) for p in first} & {(frozenset(p.numbers), p.target) for p in later}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"num_puzzles": 0}, "at least 1"),
        ({"num_numbers": 7}, "2 to 6"),
        ({"numbers_within": (5, 2)}, "numbers_within must be a range"),
        ({"num_puzzles": 50, "num_numbers": 2, "numbers_within": (1, 2), "targets_within": (1, 2)}, "widen the ranges"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments, complaint):
    with pytest.raises(LiftError, match=complaint):
        generate_puzzles(**{"num_puzzles": 1, "seed": 0, **arguments})


def test_both_kinds_of_rows_are_read(tmp_path):
    path = tmp_path / "puzzles.jsonl"
    path.write_text('{"input": "30,100,93", "output": "23"}\n\n{"numbers": [1, 2], "target": 3}\n')
    assert read_puzzles(path) == [CountdownPuzzle((30, 100, 93), 23), CountdownPuzzle((1, 2), 3)]


def test_bad_files_are_named(tmp_path):
    path = tmp_path / "puzzles.jsonl"
    for content, complaint in (
        ("", "at least one"),
        ("[1]\n", "line 1: a puzzle must have"),
        ('{"input": "a", "output": "1"}', "line 1"),
    ):
        path.write_text(content)
        with pytest.raises(LiftError, match=complaint):
            read_puzzles(path)
    path.write_bytes(b"\xff\n")
    with pytest.raises(LiftError, match="in UTF-8"):
        read_puzzles(path)
    with pytest.raises(LiftError, match="existing JSONL"):
        read_puzzles(tmp_path / "none")


def test_the_published_set_is_solvable(shared_dir):
    puzzles = read_puzzles(shared_dir / "data/countdown_cd3_test.jsonl")
    assert len(puzzles) == 128
    assert all(find_solution(puzzle.numbers, puzzle.target) for puzzle in puzzles)
