"""Countdown answers."""

from __future__ import annotations

import pytest

from lift.tasks.countdown.judge import judge

PUZZLE = {"numbers": [30, 100, 93], "target": 23}


@pytest.mark.parametrize(
    "output",
    ["<answer>\\boxed{30+93-100}</answer>", "<answer>30 + 93 - 100</answer>", "\\boxed{93-100+30 = 23}", "<answer>\\boxed{(30+93)-100",
     "<answer>$$\\boxed{30 + 93 − 100}$$</answer> or 1"],
)  # fmt: skip
def test_right(output):
    assert judge(output, PUZZLE).correct


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("30+93-100", "no answer"), ("", "no answer"), ("\\boxed{}", "no answer"), ("\\boxed{100-93}", "30 is not used"), ("<answer>...</answer>", "part of"),
        ("\\boxed{(100-93)*30}", "worth 210, not 23"), ("\\boxed{30+93-100+0}", "0 was not given"), ("\\boxed{(30+93-100}", "not closed"),
        ("\\boxed{exit()}", "not part of an expression"),
    ],
)  # fmt: skip
def test_wrong_and_why(output, reason):
    found = judge(output, PUZZLE)
    assert not found.correct and reason in found.reason
