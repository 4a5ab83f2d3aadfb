"""Verdicts on the answers to a document, as lm-eval collects them."""

from __future__ import annotations

import pytest
import yaml

from lift.confinement.seccomp import unsupported
from lift.evaluation.extra_answer import ExtraAnswer
from lift.tasks.benchmarks.files import BENCHMARKS

pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install 'lift-kernels[eval]'")

from lift.tasks.benchmarks import scores

ROW = {"puzzle": "3102200002100320", "solution": "3142243142131324"}


def boxed(text):
    return f"so</reasoning><answer>\\boxed{{{text}}}</answer>"


def test_the_right_and_the_published_verdict_stand_beside_each_other():
    found = scores.gsm8k({"answer": "#### 1000"}, [boxed("1,000")])
    assert (found["score"], found["score_as_published"]) == (1.0, 0.0)
    assert found["verdicts"] == [
        {"correct": True, "answer": "1,000", "reason": "the same number", "published": 0.0, "details": {}}
    ]
    found = scores.countdown(
        {"numbers": [3, 5, 2], "target": 13}, [[boxed("3 + 5 * 2"), boxed("3+5"), boxed("2**3+5")]]
    )
    assert found["score"] == pytest.approx(1 / 3) and found["score_as_published"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("judged", [scores.math500, scores.aime24, scores.aime25])
def test_mathematics_by_math_verify(judged):
    pytest.importorskip("math_verify", reason="math-verify is not installed: pip install 'lift-kernels[eval]'")
    found = judged({"answer": "204"}, [[boxed("204"), boxed("20400"), ""]])
    assert found["score"] == pytest.approx(1 / 3) and found["score_as_published"] == pytest.approx(2 / 3)
    assert "pass@16" not in found


def test_pass_at_16_needs_as_many_answers():
    found = scores._with_pass_at_k({"verdicts": [{"correct": i < 5} for i in range(64)]})
    assert found["pass@16"] == pytest.approx(41057 / 52948)  # n = 64, c = 5
    assert "pass@16" not in scores._with_pass_at_k({"verdicts": [{"correct": True}] * 15})


def test_sudoku_reports_what_its_published_score_does_not():
    found = scores.sudoku(ROW, ["<answer>3142243142131324</answer>"])
    assert (found["score"], found["match"], found["cells"], found["no_grid"]) == (1.0, 1.0, (8, 8), 0.0)
    assert found["score_as_published"] == (8.0, 8)
    found = scores.sudoku(ROW, [["<answer>[3142243142131324]</answer>", "none"]])
    assert (found["score"], found["cells"], found["no_grid"]) == (0.5, (8, 16), 0.5)
    assert scores.pooled_share([(8, 8), (1, 8)]) == 9 / 16


def test_programs_are_run_confined():
    if why := unsupported():
        pytest.skip(f"no program can be confined here: {why}")
    row = {"prompt": "def add(a, b):\n", "test": "def check(f):\n    assert f(1, 2) == 3\n", "entry_point": "add"}
    found = scores.humaneval(row, ["```python\ndef add(a, b):\n    return a + b\n```"])
    assert (found["score"], found["score_as_published"]) == (1.0, 1.0)
    found = scores.mbpp(
        {"test_list": ["assert add(1, 2) == 3"], "test_imports": []}, ["```python\ndef add(a, b):\n    return a\n```"]
    )
    assert (found["score"], found["score_as_published"]) == (0.0, 0.0)


def test_answers_that_only_keep_processes_busy_are_dropped():
    assert scores.keep_all([["a", ExtraAnswer("")], ["b"]], []) == [["a"], ["b"]]
    assert scores.number_of_verdicts([[1, 2], [3]]) == 3


class _Loader(yaml.SafeLoader):
    """Reads `!function` as the words behind it."""


_Loader.add_constructor("!function", lambda loader, node: f"!{node.value}")


def test_every_task_file_names_what_there_is():
    assert set(BENCHMARKS) == {
        "lift_gsm8k", "lift_math500", "lift_aime24", "lift_aime25", "countdown", "countdown_numbers", "sudoku_4x4", "sudoku_4x4_clues",
        "lift_humaneval", "lift_mbpp",
    }  # fmt: skip
    for name, path in BENCHMARKS.items():
        task = yaml.load(path.read_text(), _Loader)
        assert task["task"] == path.stem == task["dataset_kwargs"]["task"] == name
        assert task.get("unsafe_code", False) == (name in ("lift_humaneval", "lift_mbpp"))
        assert task.get("repeats", 1) == (64 if "aime" in name else 1)
        assert {metric["metric"] for metric in task["metric_list"]} >= {"score", "score_as_published", "verdicts"}
