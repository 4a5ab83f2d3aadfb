"""GSM8K answers."""

from __future__ import annotations

import json

import pytest

from lift.tasks.gsm8k.judge import judge


def is_right(output: str, answer: str = "#### 18") -> bool:
    return judge(output, {"answer": answer}).correct


@pytest.mark.parametrize(
    "output",
    [
        "<answer>\\boxed{18}</answer>", "\\boxed{18}", "<answer>18 eggs</answer>", "9 * 2 = 18", "#### 18\n\nmore 5", "The answer is 18.",
        "\\boxed{7} <answer>9 + 9 = 18</answer>", "<answer>\\boxed{18", "Answer: $18", "\\boxed{\\$18.00}",
    ],
)  # fmt: skip
def test_right(output):
    assert is_right(output)


@pytest.mark.parametrize(
    "output",
    ["", "<answer>\\boxed{17}</answer> 18", "<|eot_id|>18", "\\boxed{18} <answer>7</answer>", "\\boxed{0.18}", "\\boxed{18 or 20}",
     "<answer>\\boxed{...}</answer>", "#### 18\n#### 5", "eighteen"],
)  # fmt: skip
def test_wrong(output):
    assert not is_right(output)


def test_keys_are_numbers_or_whole_solutions():
    assert is_right("\\boxed{1000}", "9 * 2 = <<9*2=18>>18\n#### 1,000")
    assert is_right("\\boxed{-10}", "-10") and not is_right("\\boxed{10}", "#### -10")
    assert judge("\\boxed{5}", {"answer": "#### none"}).reason == "the key of this row is no number"


def test_a_verdict_can_be_looked_up():
    found = judge("<answer>\\boxed{1,700}</answer>", {"answer": "#### 18"})
    assert (found.answer, found.reason) == ("1,700", "1700, not 18")
    assert judge("no number", {"answer": "#### 18"}).reason == "no answer"
    assert judge("\\boxed{1e900}", {"answer": "#### 18"}).reason == "about 1e900, not 18"


def test_every_key_of_the_set_reads(shared_dir):
    lines = (shared_dir / "data/gsm8k_test.jsonl").read_text(encoding="utf-8").splitlines()
    for row in map(json.loads, lines):
        assert is_right(row["answer"], row["answer"])
    assert len(lines) == 660
