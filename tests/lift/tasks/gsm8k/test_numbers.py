"""Numbers as people write them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from lift.tasks.gsm8k.numbers import first_number, last_number, read_number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18", "18"), ("-10", "-10"), ("- 10", "-10"), ("+7", "7"), ("18.", "18"), ("18.50", "37/2"), (".5", "1/2"), ("007", "7"),
        ("1,000", "1000"), ("1,234,567.8", "1234567.8"), ("1{,}450{,}000", "1450000"), ("1\\,200", "1200"), ("1 200 000", "1200000"),
        ("\\$18", "18"), ("-\\$3", "-3"), ("$-3", "-3"), ("€5", "5"), ("50\\%", "50"), ("18 dollars", "18"), ("5\\text{ eggs per day}", "5"),
        ("\\text{12 inches}", "12"), ("\\mathbf{42}", "42"), ("5 \\text{ m}^2", "5"), ("5 cm^{3}", "5"), ("5 m2", "5"), ("90^\\circ", "90"),
        ("36/2", "18"), ("-7/2", "-7/2"), ("\\frac{36}{2}", "18"), ("-\\dfrac{1}{2}", "-1/2"), ("\\frac{-1}{2}", "-1/2"), ("\\frac12", "1/2"),
        ("3\\frac{1}{2}", "7/2"), ("3 1/2", "7/2"), ("-3 1/2", "-7/2"), ("1.2 \\times 10^3", "1200"), ("1.2*10^{3}", "1200"), ("1e3", "1000"),
        ("5e-1", "1/2"), ("10^3", "1000"), ("x = 18", "18"), ("9 \\times 2 = 18", "18"), ("17.9 \\approx 18", "18"), ("2:00 PM", "2"),
        ("USD18", "18"), ("**18**", "18"), ("(18)", "18"), ("1,000,", "1000"), ("18 = ", "18"),
    ],
)  # fmt: skip
def test_one_number_is_read(text, value):
    assert read_number(text) == Fraction(value)


@pytest.mark.parametrize(
    "text",
    ["", "eighteen", "nan", "18 or 20", "10-12", "18 = 2 * 9", "1,00", "12,34", "1,0000", "2:30", "3:4", "1/0", "1.2.3", "1e9999",
     "9" * 6000, "10^999999", "1e999999999", "7, 8"],
)  # fmt: skip
def test_what_is_not_one_number_is_none(text):
    assert read_number(text) is None


def test_zeros_are_no_digits():
    assert read_number("0" * 1500 + "18." + "0" * 900) == 18


def test_the_first_and_the_last_number_of_a_sentence():
    assert first_number("18 dollars for 9 eggs") == 18
    assert first_number("9 * 2 = 18") == 18
    assert first_number("18 or 20") is None and first_number("none") is None
    assert last_number("He has 3, then 5 more: 8.") == 8
    assert last_number("none") is None
