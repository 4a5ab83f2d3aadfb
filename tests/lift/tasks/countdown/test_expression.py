"""Expressions: read strictly, evaluated exactly, never run."""

from __future__ import annotations

import sys
from fractions import Fraction

import pytest

from lift.tasks.countdown import evaluate, read_expression
from lift.tasks.countdown.expression import NotAllowed, check_numbers


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2+3*4", 14), ("(2+3)*4", 20), ("6/2*3", 9), ("8/(3-8/3)", 24), ("1/3*3", 1), ("-2+5", 3), ("10*-2", -20), ("--3", 3), ("+7", 7),
        ("[2+4]*4", 24), ("\\{2+4\\}\\times4", 24), ("6 x 5", 30), ("48 ÷ 4", 12), ("6 × 5 − 6", 24), ("\\frac{48}{4}+12", 24),
        ("\\dfrac{\\frac{8}{2}}{2}", 2), ("\\left(2+4\\right)\\cdot 4", 24), ("$2+2$", 4), ("\\(2+2\\)", 4), ("2 +\n 2", 4), ("2+2 = 4", 4),
        ("4 = 2+2", 4), ("2+2=5", 4), ("7 \\div 2", Fraction(7, 2)), ("(" * 90 + "1" + ")" * 90, 1), ("-" * 900 + "5", 5),
    ],
)  # fmt: skip
def test_values(text, value):
    assert evaluate(read_expression(text)) == value


@pytest.mark.parametrize(
    "text",
    [
        "", "2**3", "7//2", "7%2", "2^3", "3.5*2", "1e1", "1,000", "\\sqrt{9}", "5!", "(2+4)4", "4(2+4)", "2 3", "(2+3", "2+3)", "[2+3)", "2+",
        "a+b", "abs(3)", "__import__('os')", "1 if 2 else 3", "2+3 #", "2+2=4=4", "1+1=2, 2+2=4", "2+3 = 10/2", "7/(3-3)", "(" * 300 + "5", "2" * 1001,
        "\\frac48", "{2+3}", "2*/3", "lambda: 0", "()", "007 + 1",
    ],
)  # fmt: skip
def test_all_else_is_refused(text):
    with pytest.raises(NotAllowed):
        evaluate(read_expression(text))


def test_the_stack_of_the_caller_changes_no_value():
    def deeper(frames: int) -> Fraction:
        return deeper(frames - 1) if frames else evaluate(read_expression("-" * 300 + "5"))

    assert deeper(sys.getrecursionlimit() // 2) == 5


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("4*15/15", None),
        ("4*15", "15 is not used"),
        ("4*15-15*15", "15 is used more often"),
        ("4*15/15+8", "8 was not given"),
        ("415/15", "415"),
    ],
)
def test_each_number_as_often_as_given(text, complaint):
    tokens = read_expression(text)
    if complaint is None:
        return check_numbers(tokens, [4, 15, 15])
    with pytest.raises(NotAllowed, match=complaint):
        check_numbers(tokens, [4, 15, 15])
