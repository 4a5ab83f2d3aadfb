"""The GSM8K scorer of LIFT and d1 (`parse_gsm_answers`), mistakes included."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_NUMBER = re.compile(r"-?\d+\.?\d*")


def score(output: str, reference: Mapping[str, Any]) -> float:
    """Return 1 where the first number of the first box that holds one equals the key, else 0.

    Nested braces, commas between thousands and fractions are not read, and a negative key is never right.
    """
    key = re.search(r"####\s*\$?([\d,]+(?:\.\d+)?)", str(reference["answer"]))
    value = _boxed(output)
    if value is None:
        value = _tagged(output)
    return float(key is not None and value is not None and value == float(key[1].replace(",", "")))


def _boxed(output: str) -> float | None:
    for box in re.findall(r"\\boxed{(.*?)}", output):
        if box.strip().strip(".") and (value := _number(box.strip(), 0)) is not None:
            return value
    return None


def _tagged(output: str) -> float | None:
    block = re.search(r"<answer>(.*?)</answer>", output, re.DOTALL)
    return _number(block[1].strip(), -1) if block else None


def _number(text: str, index: int) -> float | None:
    try:
        return float(text)
    except ValueError:
        numbers = _NUMBER.findall(text)
        return float(numbers[index]) if numbers else None
