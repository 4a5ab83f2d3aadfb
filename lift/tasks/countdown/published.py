"""The Countdown scorer of LIFT and d1 (`parse_countdown_answers`), mistakes included, without running what it reads."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Mapping
from typing import Any

from lift.tasks.reading.published_boxes import published_box

_ALLOWED = re.compile(r"^[\d+\-*/().\s]+$")
# What the published code leaves to `eval` on these characters.
_OPERATIONS: dict[type[ast.operator], Any] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Pow: operator.pow,
}  # fmt: skip
# A power of more bits is worth no target, and takes minutes: `eval` hangs there.
_MOST_BITS = 4096


def score(output: str, reference: Mapping[str, Any]) -> float:
    """Return 1 where the digits of the last box are the given numbers and its value is within 1e-5 of the target.

    Powers, decimals made of two given numbers and whole-number division count as right; signs in print, `\\frac` and a
    block without a box do not.
    """
    try:
        equation = published_box(output)
    except ValueError:
        block = re.search(r"<answer>(.*?)</answer>", output, re.DOTALL)
        equation = block[1].strip() if block else output
    equation = equation.replace(r"\div", "/").replace(r"\times", "*").replace(r"\cdot", "*")
    if "=" in equation and (stated := re.search(r"([0-9+\-*/() ]+)=[0-9. ]+", equation)):
        equation = stated[1].strip()
    try:
        used = sorted(int(number) for number in re.findall(r"\d+", equation))
        if used != sorted(reference["numbers"]) or not _ALLOWED.match(equation):
            return 0.0
        value = _value(ast.parse(equation.strip(), mode="eval").body)
        return float(abs(value - int(reference["target"])) < 1e-5)
    except (ArithmeticError, MemoryError, RecursionError, SyntaxError, TypeError, ValueError):
        return 0.0


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.UAdd, ast.USub)):
        value = _value(node.operand)
        return -value if isinstance(node.op, ast.USub) else +value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Pow) and isinstance(left, int) and isinstance(right, int):
            if left.bit_length() * abs(right) > _MOST_BITS:
                raise OverflowError("the published code hangs here")
        return _OPERATIONS[type(node.op)](left, right)
    raise ValueError("`eval` raises here: two values without a sign between them")
