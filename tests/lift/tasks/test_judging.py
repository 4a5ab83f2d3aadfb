"""Verdicts on outputs that were judged by hand."""

from __future__ import annotations

import json
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from lift.errors import LiftError
from lift.tasks import JUDGES, judge, score_as_published

TABLES = Path(__file__).resolve().parents[3].parent / "shared/verdicts"
needs_math_verify = pytest.mark.skipif(
    find_spec("math_verify") is None, reason="math-verify is not installed (extra `eval`)"
)
TABLE_NAMES = ["countdown", "gsm8k", pytest.param("math", marks=needs_math_verify), "sudoku_4x4"]


def rows_of(table: str) -> list[dict[str, object]]:
    path = TABLES / f"{table}.jsonl"
    if not path.is_file():
        pytest.skip("the folder ../shared with hand-checked verdicts is not on this machine")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("table", TABLE_NAMES)
def test_every_verdict_checked_by_hand(table):
    rows = rows_of(table)
    assert len(rows) >= 38
    wrong = []
    for row in rows:
        found = judge(row["task"], row["output"], row)
        if row["task"] == "sudoku_4x4":
            said = {name: found.details[name] for name in ("valid", "match", "cells", "empty")}
            assert found.correct == found.details["valid"]
        else:
            said = found.correct
        if said != row["verdict"]:
            wrong.append((row["id"], row["why"], said, found.reason))
    assert not wrong


@pytest.mark.parametrize(
    "table", [*TABLE_NAMES[:2], pytest.param("math", marks=[needs_math_verify, pytest.mark.slow]), "sudoku_4x4"]
)
def test_the_published_scorers_to_the_letter(table):
    wrong = []
    for row in rows_of(table):
        expected = 0.0 if row["published"] == "hangs" else float(row["published"])
        if score_as_published(row["task"], row["output"], row) != expected:
            wrong.append((row["id"], row["why"]))
    assert not wrong


def test_bad_tasks_and_rows_are_named():
    with pytest.raises(LiftError, match="no judge for the task 'mmlu': use one of gsm8k"):
        judge("mmlu", "", {})
    with pytest.raises(LiftError, match="a row of countdown must have numbers and target, this one has no target"):
        judge("countdown", "", {"numbers": [1]})
    with pytest.raises(LiftError, match="sudoku_4x4 must have puzzle and solution"):
        score_as_published("sudoku_4x4", "", {"answer": "1"})


REFERENCES = {
    "gsm8k": {"answer": "#### 18"},
    "countdown": {"numbers": [30, 100, 93], "target": 23},
    "sudoku_4x4": {"puzzle": "1034041020030020", "solution": "1234341221434321"},
    "math500": {"answer": "\\frac{1}{2}"},
}
HOSTILE = [
    "\\boxed{" * 30_000, "<answer>" * 30_000, "<answer>\\boxed{" + "(" * 900 + "</answer>", "\\boxed{" + "9" * 100_000 + "}",
    "\\boxed{1e999999999}", "\\boxed{9^{9^{9}}}", "\\boxed{" + "-" * 990 + "5}", "\\boxed{" + "\\frac{" * 160 + "}", "1 " * 60_000,
    "\x00\ud800\\boxed{\udfff}", "\\boxed{30+93-100}" * 20_000, "\\boxed{" + "1/" * 490 + "1}", "#### " * 20_000, "```" * 20_000,
    "answer is " * 20_000, "{" * 100_000, "}" * 100_000, "\\boxed{" + "1,000" * 150 + "}", "\\boxed{" + " " * 100_000, "=" * 50_000,
]  # fmt: skip


@pytest.mark.parametrize("task", ["gsm8k", "countdown", "sudoku_4x4", pytest.param("math500", marks=needs_math_verify)])
def test_no_output_makes_a_judge_raise_or_wait(task):
    judge(task, "\\boxed{7}", REFERENCES[task])  # what is loaded on first use
    for output in HOSTILE:
        start = time.process_time()
        assert judge(task, output, REFERENCES[task]).correct in (False, task == "countdown" and "30+93" in output)
        assert time.process_time() - start < 1, output[:40]


@pytest.mark.parametrize("task", ["gsm8k", "countdown", "sudoku_4x4", pytest.param("aime24", marks=needs_math_verify)])
def test_any_thread_may_ask(task):
    reference = {**REFERENCES, "aime24": {"answer": "204"}}[task]
    right = {"gsm8k": "18.0", "countdown": "30+93-100", "sudoku_4x4": reference.get("solution"), "aime24": "408/2"}[
        task
    ]
    found: list[bool] = []

    def ask() -> None:
        found.append(judge(task, f"<answer>\\boxed{{{right}}}</answer>", reference).correct)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 3


def test_every_judge_has_its_published_scorer():
    assert set(JUDGES) == {"gsm8k", "math500", "aime24", "aime25", "countdown", "sudoku_4x4"}
    assert score_as_published("gsm8k", "\\boxed{18}", REFERENCES["gsm8k"]) == 1.0
    assert score_as_published("countdown", "\\boxed{30+93-100}", REFERENCES["countdown"]) == 1.0
    assert score_as_published("math500", "\\boxed{\\frac12}", REFERENCES["math500"]) == 1.0
    assert score_as_published("sudoku_4x4", "<answer>1234341221434322</answer>", REFERENCES["sudoku_4x4"]) == 7.0
