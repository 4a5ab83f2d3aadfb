r"""A written expression, as tokens that are allowed and nothing else, and its exact value. Python never runs it.

Allowed: numbers as they were given, + - * / and their signs in print, brackets, `\times \cdot \div \frac{}{}`.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

MAX_LENGTH = 1000

_TOKEN = re.compile(
    r"(?P<number>\d+)|(?P<sign>\\times|\\cdot|\\div|[-+*/×·⋅∗÷∕−–xX])|(?P<bracket>\\[{}]|[()\[\]])"
    r"|(?P<space>\s+|\\[,;:! ]|\\(?:left|right|quad|displaystyle)(?![A-Za-z])|\\[()]|\$|~)"
)
_SIGNS = {"\\times": "*", "\\cdot": "*", "×": "*", "·": "*", "⋅": "*", "∗": "*", "x": "*", "X": "*"}
_SIGNS |= {"\\div": "/", "÷": "/", "∕": "/", "−": "-", "–": "-"}
_OPENING = {")": "(", "]": "[", "\\}": "\\{"}
_FRAC = re.compile(r"\\[dtc]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_BARE_NUMBER = re.compile(r"\s*\$?\s*-?\s*\d+(?:\.\d+)?\s*\$?\s*")


class NotAllowed(ValueError):
    """What is written is no expression of the task; the text says why, for a verdict."""


def read_expression(text: str) -> list[str]:
    """Return the tokens of an expression: numbers, and + - * / ( ) as Python writes them.

    A side of an equation that is one number is dropped: "30+93-100 = 23".

    Raises: NotAllowed for anything else, and for more than 1000 characters.
    """
    if len(text) > MAX_LENGTH:
        raise NotAllowed(f"more than {MAX_LENGTH} characters")
    text = _without_target(text)
    # The innermost first; each pass takes one away, so a thousand characters hold few.
    while (shorter := _FRAC.sub(r"((\1)/(\2))", text)) != text:
        text = shorter
    tokens: list[str] = []
    open_brackets: list[str] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise NotAllowed(f"{text[at : at + 12]!r} is not part of an expression")
        at, token = match.end(), match.group()
        if match["number"]:
            tokens.append(token)
        elif match["sign"]:
            tokens.append(_SIGNS.get(token, token))
        elif match["bracket"]:
            if token in _OPENING:
                if not open_brackets or open_brackets.pop() != _OPENING[token]:
                    raise NotAllowed("a bracket closes that was not opened")
                tokens.append(")")
            else:
                open_brackets.append(token)
                tokens.append("(")
    if open_brackets:
        raise NotAllowed("a bracket is not closed")
    return tokens


def check_numbers(tokens: Sequence[str], numbers: Sequence[int]) -> None:
    """Raise NotAllowed unless the expression has each given number exactly as often as it was given, written alike."""
    used, given = Counter(token for token in tokens if token.isdigit()), Counter(map(str, numbers))
    if foreign := used - given:
        number = next(iter(foreign))
        raise NotAllowed(
            f"{number[:20]} is used more often than given" if number in given else f"{number[:20]} was not given"
        )
    if unused := given - used:
        raise NotAllowed(f"{next(iter(unused))} is not used")


def evaluate(tokens: Sequence[str]) -> Fraction:
    """Return the value of an expression, exactly.

    Raises: NotAllowed if it is none (two numbers without a sign between them, a power), or divides by zero.
    """
    # With spaces: "* *" is no power, "/ /" no division of whole numbers, "1 2" no other number.
    try:
        tree = ast.parse(" ".join(tokens), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise NotAllowed("this is no expression") from None
    values: list[Fraction] = []
    for node in _bottom_up(tree):
        if isinstance(node, ast.Constant) and type(node.value) is int:
            values.append(Fraction(node.value))
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.UAdd, ast.USub)):
            values.append(-values.pop() if isinstance(node.op, ast.USub) else values.pop())
        elif isinstance(node, ast.BinOp):
            right, left = values.pop(), values.pop()
            values.append(_combine(node.op, left, right))
        else:
            raise NotAllowed("a product needs its sign")  # a number before a bracket is a call in Python
    return values.pop()


def _bottom_up(tree: ast.expr) -> list[ast.expr]:
    """Return the nodes, operands before their operation; without recursion, which a thousand signs would exhaust."""
    order, waiting = [], [tree]
    while waiting:
        node = waiting.pop()
        order.append(node)
        if isinstance(node, ast.BinOp):
            waiting += [node.left, node.right]
        elif isinstance(node, ast.UnaryOp):
            waiting.append(node.operand)
    return order[::-1]


def _combine(operation: ast.operator, left: Fraction, right: Fraction) -> Fraction:
    match operation:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Div() if right:
            return left / right
        case ast.Div():
            raise NotAllowed("division by zero")
    raise NotAllowed("only + - * / are allowed")


def _without_target(text: str) -> str:
    head, sign, tail = text.rpartition("=")
    if sign and _BARE_NUMBER.fullmatch(tail):
        return head
    head, sign, tail = text.partition("=")
    return tail if sign and _BARE_NUMBER.fullmatch(head) else text
