"""Written 4x4 grids: found, judged, and summed up."""

from __future__ import annotations

import pytest

from lift.errors import LiftError
from lift.tasks.sudoku import CHANCE, find_grid, generate_puzzles, summarise
from lift.tasks.sudoku.judge import judge

PUZZLE = {"puzzle": "1034041020030020", "solution": "1234341221434321"}
KEY = PUZZLE["solution"]
ROWS = [KEY[i : i + 4] for i in range(0, 16, 4)]


@pytest.mark.parametrize(
    "output",
    [
        KEY, f"<answer>[{KEY}]</answer>", " ".join(KEY), "\n".join(ROWS), "|".join(ROWS), f"[[{'],['.join(','.join(row) for row in ROWS)}]]",
        "".join(f"Row {i + 1}: {row}\n" for i, row in enumerate(ROWS)), f"The 4x4 grid is {KEY}.", f"```\n{KEY}\n```", f"\\boxed{{{KEY}}}",
        "\\begin{array}{|c|c|}" + " \\\\ \\hline ".join(" & ".join(row) for row in ROWS) + "\\end{array}", f"1034041020030020\n{KEY}",
        f"1111222233334444 no, {KEY}", "1 2 │ 3 4\n3 4 │ 1 2\n──┼──\n2 1 │ 4 3\n4 3 │ 2 1",
    ],
)  # fmt: skip
def test_a_grid_is_found_whatever_stands_between_its_cells(output):
    assert find_grid(output) == KEY


@pytest.mark.parametrize(
    "output",
    [
        "",
        KEY[:-1],
        KEY + "1",
        "Row 1: 1234 Row 2: 3412",
        "<|eot_id|>" + KEY,
        "ABCD" * 4,
        "1234 and 3412 and 2143 and 4321",
    ],
)
def test_what_has_not_16_cells_is_no_grid(output):
    found = judge(output, PUZZLE)
    assert find_grid(output) is None and not found.correct
    assert found.details == {"valid": False, "match": False, "cells": 0, "empty": 8, "is_grid": False}


@pytest.mark.parametrize(
    ("grid", "reason", "cells"),
    [
        (KEY, "the key", 8), ("1034041020030020", "a cell is left empty", 0), ("4321341221431234", "a clue is changed", 4),
        ("1134341221434321", "a row, a column or a box lacks a digit", 7),
    ],
)  # fmt: skip
def test_verdicts_say_why(grid, reason, cells):
    found = judge(grid, PUZZLE)
    assert (found.correct, found.answer, found.reason, found.details["cells"]) == (grid == KEY, grid, reason, cells)


def test_another_solution_is_valid_and_not_the_key():
    found = judge("1234341223414123", {"puzzle": "1030000200404000", "solution": KEY})
    assert found.correct and found.reason == "valid, and not the key"
    assert found.details == {"valid": True, "match": False, "cells": 7, "empty": 11, "is_grid": True}


def test_a_puzzle_that_is_none_is_an_error():
    with pytest.raises(LiftError, match="16 characters"):
        judge(KEY, {"puzzle": "12", "solution": KEY})


def test_the_score_of_a_set():
    outputs = [KEY, "no grid", "1134341221434321"]
    totals = summarise([judge(output, PUZZLE) for output in outputs])
    assert (totals.num_puzzles, totals.num_no_grid) == (3, 1)
    assert totals.valid == totals.match == 1 / 3
    assert totals.cells == 15 / 24
    assert totals.cells_interval.low <= totals.cells <= totals.cells_interval.high
    assert totals.valid_interval.low < 1 / 3 < totals.valid_interval.high
    full = summarise([judge(KEY, {"puzzle": KEY, "solution": KEY})])
    assert (full.cells, full.valid) == (0.0, 1.0)


def test_one_digit_everywhere_is_chance():
    puzzles = generate_puzzles(300, seed=4)
    verdicts = [judge("1" * 16, {"puzzle": p.clues, "solution": p.solution}) for p in puzzles]
    assert summarise(verdicts).cells == pytest.approx(CHANCE, abs=0.03)
