"""The published scorers of mathematics."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from lift.tasks.mathematics.published import read_answer, score, score_of_d1

needs_antlr = pytest.mark.skipif(
    find_spec("antlr4") is None or find_spec("math_verify") is None, reason="the extra `eval` is not installed"
)


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        ("\\boxed{7}", "7"),
        ("<answer>204</answer>", "<answer>204</answer>"),
        ("\\boxed{7 <answer> 8 </answer>", "8"),
        ("\\boxed{7", None),
    ],
)
def test_what_is_read(output, answer):
    assert read_answer(output) == answer


def test_the_string_rule_needs_no_library():
    assert (
        score_of_d1("\\boxed{\\dfrac12}", {"answer": "\\frac{1}{2}"})
        == score("\\boxed{0.5}", {"answer": "\\frac{1}{2}"})
        == 1
    )
    assert score_of_d1("\\boxed{20400}", {"answer": "204"}) == 0
    assert score("x" * 5000, {"answer": "204"}) == 0


@needs_antlr
@pytest.mark.parametrize(
    ("answer", "key", "expected"),
    [
        ("20400", "204", 1),
        ("2.04", "204", 1),
        ("205", "204", 0),
        ("\\frac{28}{6}", "\\frac{14}{3}", 1),
        ("204 \\text{ or } 205", "204", 1),
        ("4,3", "3,4", 1),
    ],
)
def test_the_judge_has_its_oddities(answer, key, expected):
    assert score(f"\\boxed{{{answer}}}", {"answer": key}) == expected
