"""The right verdict on a Countdown answer: each given number once, and exactly the target."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from lift.tasks.countdown.expression import NotAllowed, check_numbers, evaluate, read_expression
from lift.tasks.reading import find_answer
from lift.tasks.verdict import Verdict


def judge(output: str, reference: Mapping[str, Any]) -> Verdict:
    """Judge an output; the answer is a box, or the answer block: elsewhere, an expression is reasoning."""
    found = find_answer(output)
    text = found.box if found.box is not None else found.text.strip() if found.is_tagged else ""
    if not text:
        return Verdict(False, None, "no answer")
    try:
        tokens = read_expression(text)
        check_numbers(tokens, [int(number) for number in reference["numbers"]])
        value = evaluate(tokens)
    except NotAllowed as error:
        return Verdict(False, text, str(error))
    target = Fraction(reference["target"])
    return Verdict(value == target, text, f"worth {value}" if value == target else f"worth {value}, not {target}")
