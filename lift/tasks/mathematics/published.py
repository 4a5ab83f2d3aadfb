"""The MATH500 and AIME scorer of LIFT (`parse_math_answers` in its scoring.py), mistakes included.

It takes an answer for right that is 100 times the key, or a hundredth of it. d1's is the same without the judge of
OlympiadBench, and 1.4 to 2.4 points lower on the same outputs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lift.tasks.mathematics.process import ask
from lift.tasks.mathematics.published_string import is_equal_string
from lift.tasks.reading.published_boxes import published_box

# Longer texts cost its judge the whole time limit. LaTeX of a whole output, which stands for an answer without a box,
# parses to nonsense.
_LONGEST = 4000


def score(output: str, reference: Mapping[str, Any]) -> float:
    """Return 1 where the published code calls the last box, or the whole text, right; 0 also where it hangs.

    Raises: LiftError if sympy's parser of LaTeX is not installed.
    """
    key = str(reference["answer"])
    answer = read_answer(output)
    if answer is None:
        return 0.0
    if is_equal_string(answer, key):
        return 1.0
    if len(answer) > _LONGEST:
        return 0.0
    return float(ask({"do": "judge_as_published", "answer": answer, "key": key}) or 0)


def score_of_d1(output: str, reference: Mapping[str, Any]) -> float:
    """Return what d1's scorer counts: the string rule alone, which needs no library."""
    answer = read_answer(output)
    return float(answer is not None and is_equal_string(answer, str(reference["answer"])))


def read_answer(output: str) -> str | None:
    """Return what both take for the answer."""
    try:
        answer = published_box(output)
    except ValueError:
        answer = ""
    if answer:
        return answer
    block = re.search(r"<answer>(.*?)</answer>", output, re.DOTALL)
    return block[1].strip() if block else None
