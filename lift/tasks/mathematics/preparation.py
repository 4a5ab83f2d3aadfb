"""What an answer must be before it is compared: math-verify misses some notation, and reads some too freely."""

from __future__ import annotations

import re
from fractions import Fraction

# An answer is short; what is longer, deeper or higher costs the whole time limit, and is no key's value.
MAX_LENGTH = 600
MAX_DEPTH = 30
_MOST_DIGITS = 200

_UNICODE = {
    "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ",
    "∪": r"\cup ", "∩": r"\cap ", "×": r"\times ",
    "·": r"\cdot ", "÷": r"\div ", "°": r"^\circ ", "±": r"\pm ", "−": "-", "–": "-",
}  # fmt: skip
_ROOT = re.compile(r"√\s*(?:\(([^()]*)\)|\{([^{}]*)\}|(\w+))")
_NUMBER_IN_TEXT = re.compile(r"^\\text\s*\{\s*(-?[\d.,/]+)\s*([A-Za-z][A-Za-z .]*)\}$")
_EXPONENT = re.compile(r"(?<![\w.\\])(\d+(?:\.\d+)?)[eE]([+-]?\d{1,3})(?![\w])")
_REPEATING = re.compile(r"(\d*)\.(\d*)\\overline\s*\{?(\d+)\}?")
_BASE = re.compile(r"^(?P<digits>[0-9A-Fa-f]+)\s*_\s*\{?\s*(?:\\text\s*\{)?(?P<base>\d+|[a-z]+)\}*$")
_DELIMITERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))


def prepare(answer: str) -> str:
    """Return an answer or key without what is no part of its value: dollar and percent signs, full stop, math mode."""
    text = "".join(_UNICODE.get(character, character) for character in answer).strip()
    text = text.rstrip(".,; \n") if not text.endswith(("\\,", "\\;")) else text
    for opening, closing in _DELIMITERS:
        if len(text) > len(opening) + len(closing) and text.startswith(opening) and text.endswith(closing):
            text = text[len(opening) : -len(closing)].strip().rstrip(". ")
    # A percent sign is the unit of the question: 10 % is 10 here, and 0.1 is not.
    text = re.sub(r"\\?[$%]", "", text)
    text = _ROOT.sub(lambda root: rf"\sqrt{{{root[1] or root[2] or root[3]}}}", text)
    text = _NUMBER_IN_TEXT.sub(r"\1 \\text{ \2}", text)
    text = _EXPONENT.sub(r"\1 \\times 10^{\2}", text)
    return _REPEATING.sub(_repeating, text).strip()


def refusal(answer: str) -> str | None:
    """Return why an answer is not compared at all, None where it is."""
    if len(answer) > MAX_LENGTH or re.search(rf"\d{{{_MOST_DIGITS + 1}}}", answer.replace(",", "")):
        return "too long for an answer"
    depth = deepest = 0
    for character in answer:
        depth += (character in "({[") - (character in ")}]")
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        return "brackets nested too deep"
    if answer.count("^") > 50 or re.search(r"\^\s*\{?\s*[\w.]*\s*\^\s*\{?\s*[\w.]*\s*\^", answer):
        return "a tower of powers"
    if re.search(r"\^\s*\{?\s*-?\(?\d{5}", re.sub(r"[\s,]", "", answer)):
        return "too high a power"
    if re.search(r"\\[dt]?binom\D{0,3}\d{4}|\\(?:sum|prod)[^A-Za-z].*\d{5}", re.sub(r"[\s,]", "", answer)):
        return "too many terms"
    if "!" in answer and re.search(r"\d{4}|\^|!\s*\)*\s*!", re.sub(r"[\s,{}]", "", answer)):
        return "too high a factorial"
    return None


def contradiction(answer: str, key: str) -> str | None:
    """Return why an answer is wrong where math-verify would say that it is right, None where that is not so."""
    if (found := _BASE.match(answer)) and (wanted := _BASE.match(key)) and found["base"] != wanted["base"]:
        return f"in base {found['base']}, not {wanted['base']}"
    kinds = [_is_set(text) for text in (answer, key)]
    if None not in kinds and kinds[0] != kinds[1]:
        return "a set is no tuple"
    return None


def _is_set(text: str) -> bool | None:
    """Return whether a text is a set in braces, or else a tuple or interval; None where it is neither."""
    text = re.sub(r"\\(?:left|right)(?![A-Za-z])|\s", "", text)
    if text.startswith(r"\{") and text.endswith(r"\}"):
        return True
    return False if text.startswith(("(", "[")) and text.endswith((")", "]")) and "," in text else None


def _repeating(match: re.Match[str]) -> str:
    whole, head, cycle = match.groups()
    value = Fraction(int(whole + head or "0")) + Fraction(int(cycle), 10 ** len(cycle) - 1)
    value /= 10 ** len(head)
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
