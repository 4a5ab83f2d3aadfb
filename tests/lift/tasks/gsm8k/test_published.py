"""The published GSM8K scorer, with its oddities."""

from __future__ import annotations

import pytest

from lift.tasks.gsm8k.published import score


@pytest.mark.parametrize(
    ("output", "answer", "expected"),
    [
        ("\\boxed{18}", "#### 18", 1), ("\\boxed{1,000}", "#### 1000", 0), ("\\boxed{7/2}", "#### 7", 1), ("\\boxed{18 or 20}", "#### 18", 1),
        ("\\boxed{5} <answer>\\boxed{18}</answer>", "#### 18", 0), ("\\boxed{...} \\boxed{18}", "#### 18", 1), ("\\boxed{-10}", "#### -10", 0),
        ("<answer>3 + 15 = 18</answer>", "#### 18", 1), ("The answer is 18", "#### 18", 0), ("\\boxed{nan}", "#### 18", 0), ("", "#### 18", 0),
    ],
)  # fmt: skip
def test_scores(output, answer, expected):
    assert score(output, {"answer": answer}) == expected
