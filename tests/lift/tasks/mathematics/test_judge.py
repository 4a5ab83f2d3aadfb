"""Answers in mathematics: what math-verify gets right, and its traps."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from lift.tasks.mathematics.judge import judge

pytestmark = pytest.mark.skipif(find_spec("math_verify") is None, reason="math-verify is not installed (extra `eval`)")


@pytest.mark.parametrize(
    ("answer", "key"),
    [
        ("\\frac{28}{6}", "\\frac{14}{3}"), ("0.75", "\\frac{3}{4}"), (".5", "\\frac12"), ("073", "73"), ("m+n = 104", "104"), ("4,3", "3,4"),
        ("10", "10\\%"), ("90", "90^\\circ"), ("0.\\overline{3}", "\\frac13"), ("2.04e2", "204"), ("x \\le 3", "(-\\infty,3]"),
        ("(-\\infty,3]", "x \\le 3"), ("\\text{12 inches}", "12"), ("117.", "117"), ("2516", "2516_8"), ("4\\frac23", "\\frac{14}{3}"), ("√117", "3\\sqrt{13}"),
        ("\\{2,1\\}", "\\{1,2\\}"), ("\\text{(C)}", "C"), ("-q+p", "p - q"), ("1\\pm i", "1+i,1-i"),
    ],
)  # fmt: skip
def test_right(answer, key):
    found = judge(f"<answer>\\boxed{{{answer}}}</answer>", {"answer": key})
    assert found.correct and found.answer == answer


@pytest.mark.parametrize(
    ("answer", "key"),
    [
        ("0.333333", "\\frac13"), ("1.414214", "\\sqrt{2}"), ("0.1", "10\\%"), ("2516_7", "2516_8"), ("\\{1,2\\}", "(1,2)"), ("(2,1)", "(1,2)"),
        ("20400", "204"), ("-204", "204"), ("204 \\text{ or } 205", "204"), ("3", "3,4"), ("(-2,7)", "[-2,7]"), ("\\infty", "0"), ("", "0"),
        ("__import__('os')", "0"), ("9^{9^{9^{9}}}", "0"), ("\\frac", "0"),
    ],
)  # fmt: skip
def test_wrong(answer, key):
    assert not judge(f"<answer>\\boxed{{{answer}}}</answer>", {"answer": key}).correct


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        ("<answer>204</answer>", "204"), ("<answer>The answer is $204$.</answer>", "$204$"), ("so the answer is 204.", "204"), ("\\boxed 204", "204"),
        ("x <answer>\\boxed{204}</answer> or \\boxed{5}", "204"), ("204", None), ("<answer>The answer is:\n\n204</answer>", "The answer is:\n\n204"),
    ],
)  # fmt: skip
def test_what_is_read(output, answer):
    assert judge(output, {"answer": "7"}).answer == answer
