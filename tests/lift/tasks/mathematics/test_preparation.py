"""What is done to an answer before it is compared, and what is not compared at all."""

from __future__ import annotations

import pytest

from lift.tasks.mathematics.preparation import contradiction, prepare, refusal


@pytest.mark.parametrize(
    ("answer", "prepared"),
    [
        ("117.", "117"), ("$5$", "5"), ("\\(5\\)", "5"), ("$$5$$.", "5"), ("\\$18.90", "18.90"), ("10\\%", "10"), ("10%", "10"),
        ("\\text{12 inches}", "12 \\text{ inches}"), ("2.04e2", "2.04 \\times 10^{2}"), ("0.\\overline{3}", "\\frac{1}{3}"),
        ("1.2\\overline{45}", "\\frac{137}{110}"), ("√2", "\\sqrt{2}"), ("2√(x+1)", "2\\sqrt{x+1}"), ("\\text{Evelyn}", "\\text{Evelyn}"),
        ("x \\le 3", "x \\le 3"), ("0.5", "0.5"), ("\\frac{1}{2}", "\\frac{1}{2}"), ("$1$ and $2$", "1$ and $2".replace("$", "")),
    ],
)  # fmt: skip
def test_prepared(answer, prepared):
    assert prepare(answer) == prepared


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("9^{9^{9^{9}}}", "tower"), ("(10^{9})!", "factorial"), ("5000!", "factorial"), ("3!!!", "factorial"), ("(" * 50, "nested"), ("9" * 300, "too long"),
        ("x" * 700, "too long"), ("2^{100000}", "power"), ("\\binom{100000}{5}", "terms"), ("\\sum_{n=1}^{100000} n", "power"), ("\\sum_{100000 > n} n", "terms"),
    ],
)  # fmt: skip
def test_refused(answer, reason):
    assert reason in (refusal(answer) or "")


@pytest.mark.parametrize(
    "answer",
    [
        "x^8 + x^7 + x^6 + x^5 + 1",
        "2^{10}",
        "e^{x^2}",
        "10!",
        "\\binom{10}{2}",
        "\\sum_{n=1}^{10} n",
        "12345",
        "9" * 100,
        "10^{-31}",
        "x^{2^3}",
    ],
)
def test_not_refused(answer):
    assert refusal(answer) is None


def test_contradictions():
    assert contradiction("2516_7", "2516_8") == "in base 7, not 8"
    assert contradiction("(1,2)", "\\left\\{1, 2\\right\\}") == "a set is no tuple"
    for answer, key in (
        ("2516_8", "2516_{8}"),
        ("2516", "2516_8"),
        ("1,2", "\\{1,2\\}"),
        ("(1,2)", "[1,2]"),
        ("x", "y"),
    ):
        assert contradiction(answer, key) is None
