"""The right verdict on a GSM8K answer: the number it states, compared as an exact rational."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from lift.tasks.gsm8k.numbers import first_number, last_number, read_number
from lift.tasks.reading import find_answer, find_phrase, plain_text
from lift.tasks.verdict import Verdict

_MARKER = "####"


def judge(output: str, reference: Mapping[str, Any]) -> Verdict:
    """Judge an output; `reference["answer"]` is the number, or a solution that ends in `#### number`."""
    found = find_answer(output)
    key = read_number(plain_text(str(reference["answer"])).rpartition(_MARKER)[2])
    text, value = _read(found.text, found.box)
    if key is None:
        return Verdict(False, text, "the key of this row is no number")
    if value is None:
        reason = "no answer" if text is None else "what stands there is not one number"
        return Verdict(False, text, reason)
    return Verdict(value == key, text, "the same number" if value == key else f"{_shown(value)}, not {_shown(key)}")


def _read(text: str, box: str | None) -> tuple[str | None, Fraction | None]:
    """Return the words that state the answer, and its value: a box, else a marker, else a phrase, else a number."""
    if box is not None:
        return box, read_number(box)
    if _MARKER in text:
        sentence = text.rpartition(_MARKER)[2].strip().split("\n", 1)[0]
        return sentence, first_number(sentence)
    if (phrase := find_phrase(text)) is not None and any(map(str.isdigit, phrase)):
        return phrase, first_number(phrase)
    value = last_number(text)
    return (None if value is None else _shown(value)), value


def _shown(value: Fraction) -> str:
    return str(value) if value.numerator < 10**30 else f"about 1e{len(str(value.numerator // value.denominator)) - 1}"
