"""The string rule of MATH (`is_equiv` and `strip_string`, arXiv 2103.03874, MIT licence), as d1 and LIFT have it."""

from __future__ import annotations


def is_equal_string(first: str, second: str) -> bool:
    """Return whether both texts are the same after the rule, or, where the rule fails on one, as they stand."""
    try:
        return strip_string(first) == strip_string(second)
    except (AssertionError, IndexError, ValueError):
        return first == second


def strip_string(text: str) -> str:
    """Return a text in the form in which the published code compares.

    Raises: AssertionError, IndexError or ValueError where the published code does, which its caller counts on.
    """
    for old, new in (
        ("\n", ""), ("\\!", ""), ("\\\\", "\\"), ("tfrac", "frac"), ("dfrac", "frac"), ("\\left", ""), ("\\right", ""),
        ("^{\\circ}", ""), ("^\\circ", ""), ("\\$", ""),
    ):  # fmt: skip
        text = text.replace(old, new)
    if "\\text{ " in text:  # a unit on the right
        text, other = text.split("\\text{ ")
        del other
    text = text.replace("\\%", "").replace(" .", " 0.").replace("{.", "{0.")
    if not text:
        return text
    if text[0] == ".":
        text = "0" + text
    if text.count("=") == 1 and len(text.split("=")[0]) <= 2:
        text = text.split("=")[1]
    text = _with_braced_fractions(_with_braced_roots(text).replace(" ", ""))
    if text == "0.5":
        text = "\\frac{1}{2}"
    return _as_fraction(text)


def _with_braced_roots(text: str) -> str:
    head, *parts = text.split("\\sqrt")
    return head + "".join("\\sqrt" + (part if part[0] == "{" else f"{{{part[0]}}}{part[1:]}") for part in parts)


def _with_braced_fractions(text: str) -> str:
    head, *parts = text.split("\\frac")
    for part in parts:
        head += "\\frac"
        if part[0] == "{":
            head += part
        elif len(part) < 2:
            return text
        else:
            head += f"{{{part[0]}}}" + (part[1:] if part[1] == "{" else f"{{{part[1]}}}{part[2:]}")
    return head


def _as_fraction(text: str) -> str:
    if text.count("/") != 1:
        return text
    numerator, denominator = map(int, text.split("/"))
    return f"\\frac{{{numerator}}}{{{denominator}}}" if text == f"{numerator}/{denominator}" else text
