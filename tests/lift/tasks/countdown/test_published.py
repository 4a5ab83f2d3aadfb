"""The published Countdown scorer, with its oddities, and without what hangs it."""

from __future__ import annotations

import pytest

from lift.tasks.countdown.published import score


@pytest.mark.parametrize(
    ("output", "numbers", "target", "expected"),
    [
        ("\\boxed{30+93-100}", [30, 100, 93], 23, 1), ("\\boxed{3.5*2}", [3, 5, 2], 7, 1), ("\\boxed{2**3+5}", [2, 3, 5], 13, 1),
        ("\\boxed{7//(2*3)}", [7, 2, 3], 1, 1), ("\\boxed{97**98**99}", [97, 98, 99], 5, 0), ("<answer>1+2</answer>", [1, 2], 3, 0),
        ("so 1 + 2 = 3", [1, 2], 3, 1), ("\\boxed{(2)(3)}", [2, 3], 6, 0), ("\\boxed{6/(3-3)}", [6, 3, 3], 1, 0), ("\\boxed{1+2", [1, 2], 3, 0),
        ("\\boxed{1+2} <answer>3+4</answer> \\boxed{", [3, 4], 7, 1),
    ],
)  # fmt: skip
def test_scores(output, numbers, target, expected):
    assert score(output, {"numbers": numbers, "target": target}) == expected
