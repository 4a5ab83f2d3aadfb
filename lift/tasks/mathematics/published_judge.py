r"""The judge of OlympiadBench (arXiv 2402.14008) as LIFT uses it (`AutoScoringJudge`), mistakes included.

Run in the process of `server`, which has a limit on time: sympy's parser and `simplify` may take for ever. Its
precision is 1e-6, and a key's hundredth and hundredfold are right.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

_REPLACED = (
    ("\\left", ""), ("\\right", ""), ("∶", ":"), ("，", ","), ("$", ""), ("\\approx", "="), ("\\simeq", "="),
    ("\\sim", "="), ("^\\prime", "'"), ("^{\\prime}", "'"), ("^\\circ", ""), ("%", ""),
)  # fmt: skip
_ENDS = "\n$,.:;^_=+`!@#%&*~，。"
_PRECISION = 1e-6 * 1.01


def is_right(key: str, answer: str) -> bool:
    """Return whether the published judge calls an answer right."""
    try:
        wanted, found = _clean(_contents(key)), _clean(_contents(answer))
    except (IndexError, ValueError):
        return False
    if wanted == found:
        return True
    items, others = (_items(re.sub(r"[\u4e00-\u9fff]+", "", text)) for text in (wanted, found))
    if len(items) != len(others):
        return False
    index = -1
    while items:
        index = (index + 1) % len(items)
        match = next((other for other in others if _is_equal(items[index], other)), None)
        if match is None:
            return False
        items.remove(items[index])
        others.remove(match)
    return True


def _contents(text: str) -> str:
    found = ""
    for box in re.finditer(r"\\boxed{", text):
        depth, end = 1, box.end()
        while depth and end < len(text):
            depth += (text[end] == "{") - (text[end] == "}")
            end += 1
        if depth:
            raise ValueError("braces do not balance")
        found += text[box.end() : end - 1] + ","
    if found:
        return found
    return "".join(f"{part}," for part in re.findall(r"\$(.*?)\$", text.strip().split("\n")[-1])) or text


def _clean(text: str) -> str:
    if "\\in " in text:
        text = text.split("\\in ")[1]
    for old, new in _REPLACED:
        text = text.replace(old, new)
    return re.sub(r"\\(?:mathrm|mathbf)\{~?([^}]*)\}", r"\1", text.strip(_ENDS))


def _items(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for i, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if character == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    if start < len(text):
        parts.append(text[start:].strip())
    return [
        item
        for part in parts
        for item in ((part.replace("\\pm", "+"), part.replace("\\pm", "-")) if "\\pm" in part else (part,))
    ]


def _is_equal(key: str, answer: str) -> bool:
    if key == answer != "":
        return True
    if all(text.startswith(("(", "[")) and text.endswith((")", "]")) for text in (key, answer)):
        try:
            if _is_equal_interval(key, answer):
                return True
        except Exception:
            return False
    rules: tuple[Callable[[str, str], bool], ...] = (_is_equal_number, _is_equal_value, _is_equal_equation)
    return any(_holds(rule, key, answer) for rule in rules)


def _holds(rule: Callable[[str, str], bool], key: str, answer: str) -> bool:
    try:
        return bool(rule(key, answer))
    except Exception:  # as published: whatever sympy raises
        return False


def _is_equal_number(key: str, answer: str) -> bool:
    wanted, found = float(key), float(answer)
    return any(abs(value - found) <= _PRECISION for value in (wanted / 100, wanted, wanted * 100))


def _is_equal_value(key: str, answer: str) -> bool:
    return _is_equal_expression(key, answer) and not ("=" in key and "=" in answer)


def _is_equal_expression(key: str, answer: str) -> bool:
    import sympy

    wanted, found = (sympy.sympify(_parse(text.split("=")[1] if "=" in text else text)) for text in (key, answer))
    if wanted == found:
        return True
    wanted, found = (value.subs(_parse("\\pi"), math.pi) for value in (wanted, found))
    if wanted.has(sympy.Symbol) != found.has(sympy.Symbol):
        return False
    try:
        if wanted.has(sympy.Symbol):
            return bool(abs(sympy.simplify(wanted - found).evalf()) < 1e-3)
        if not (_is_small_power(wanted) and _is_small_power(found)):
            return False
        return bool(abs(wanted.evalf() - found.evalf()) <= _PRECISION)
    except Exception:
        return False


def _is_small_power(value: Any) -> bool:
    import sympy

    if not isinstance(value, sympy.Pow):
        return True
    base, exponent = value.as_base_exp()
    return bool(base.is_number and exponent.is_number and abs(exponent.evalf()) <= 1000)


def _is_equal_equation(key: str, answer: str) -> bool:
    import sympy

    def difference(text: str) -> Any:
        left, right = map(_parse, text.split("="))
        equation = sympy.Eq(left, right)
        return sympy.simplify(equation.lhs - equation.rhs)

    wanted, found = difference(key), difference(answer)
    ratios = (sympy.simplify(wanted / found), sympy.simplify(found / wanted))
    return any(ratio.is_Integer and ratio != 0 for ratio in ratios)


def _is_equal_interval(key: str, answer: str) -> bool:
    wanted, found = key.split("\\cup"), answer.split("\\cup")
    return len(wanted) == len(found) and all(map(_is_equal_piece, wanted, found))


def _is_equal_piece(key: str, answer: str) -> bool:
    if key[0] != answer[0] or key[-1] != answer[-1]:
        return False
    ends = zip(key.strip("[]()").split(","), answer.strip("[]()").split(","), strict=False)  # as published
    return all(_is_equal_expression(*pair) for pair in ends)


def _parse(text: str) -> Any:
    from sympy.parsing.latex import parse_latex

    return parse_latex(text.strip())
