"""The published Sudoku scorer, with its oddities."""

from __future__ import annotations

import pytest

from lift.tasks.sudoku.published import score

PUZZLE = {"puzzle": "1034041020030020", "solution": "1234341221434321"}


@pytest.mark.parametrize(
    ("output", "cells"),
    [
        ("<answer>1234341221434321</answer>", 8), ("<answer>[1234341221434321]</answer>", 0), ("<answer>123434122143432</answer>", 7),
        ("<answer>1234341221434321999</answer>", 8), ("1234341221434321", 8), ("<answer>\n1234 3412\n2143 4321<|eot_id|>", 8), ("", 0),
        ("<answer>1111222233334444</answer> <answer>1234341221434321</answer>", 2), ("<answer>```1234341221434321```</answer>", 8),
    ],
)  # fmt: skip
def test_scores(output, cells):
    assert score(output, PUZZLE) == cells
