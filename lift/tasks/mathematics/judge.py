"""The right verdict on an answer in mathematics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lift.tasks.mathematics.preparation import contradiction, prepare, refusal
from lift.tasks.mathematics.process import ask
from lift.tasks.reading import find_answer, find_phrase, plain_text
from lift.tasks.verdict import Verdict


def judge(output: str, reference: Mapping[str, Any]) -> Verdict:
    """Judge an output; `reference["answer"]` is the key, in LaTeX.

    The answer is a box, else what follows "the answer is", else the answer block. It is right where math-verify holds
    it equal to the key, with exact decimals: 0.333333 is not 1/3. A percent sign is a unit, and neither a set and a
    tuple nor numbers in different bases are equal.

    Raises: LiftError if math-verify is not installed.
    """
    found = find_answer(output)
    text = found.box if found.box is not None else find_phrase(found.text)
    if text is None and found.is_tagged:
        text = found.text.strip()
    if not text:
        return Verdict(False, None, "no answer")
    if why := refusal(text):
        return Verdict(False, text, why)
    answer, key = prepare(text), prepare(plain_text(str(reference["answer"])))
    if answer == key and key:
        return Verdict(True, text, "the key")
    if why := contradiction(answer, key):
        return Verdict(False, text, why)
    result = ask({"do": "verify", "answer": answer, "key": key})
    if result is None:
        return Verdict(False, text, "comparing it takes too much time or memory")
    return Verdict(bool(result), text, "equal to the key" if result else "not equal to the key")
