"""The string rule of MATH."""

from __future__ import annotations

import pytest

from lift.tasks.mathematics.published_string import is_equal_string, strip_string


@pytest.mark.parametrize(
    ("text", "stripped"),
    [
        ("\\dfrac12", "\\frac{1}{2}"), ("1/2", "\\frac{1}{2}"), ("0.5", "\\frac{1}{2}"), (".75", "0.75"), ("x = 5", "5"), ("\\sqrt3", "\\sqrt{3}"),
        ("12\\text{ cm}", "12"), ("50\\%", "50"), ("90^\\circ", "90"), ("\\left( 1, 2 \\right)", "(1,2)"), ("\\$5", "5"), ("11,\\! 111", "11,111"), ("", ""),
        ("\\frac1{72}", "\\frac{1}{72}"), ("100 = y", "100=y"),
    ],
)  # fmt: skip
def test_stripped(text, stripped):
    assert strip_string(text) == stripped


def test_where_the_rule_fails_texts_are_compared_as_they_stand():
    assert is_equal_string("a/b", "a/b") and not is_equal_string("a/b", "a / b")
    assert is_equal_string("\\sqrt", "\\sqrt") and not is_equal_string("\\frac", "\\frac ")
    assert is_equal_string("\\dfrac{1}{2}", "0.5")
