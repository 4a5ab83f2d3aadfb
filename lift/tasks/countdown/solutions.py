"""What a set of numbers can reach, by + - * / with each used once: exact, by pairing values until one is left."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

# Seven numbers have millions of expressions.
MAX_NUMBERS = 6

_Values = tuple[Fraction, ...]


def reachable(numbers: Sequence[int]) -> dict[Fraction, str]:
    """Return every value that the numbers reach, each used exactly once, with one expression for it.

    Args:
        numbers: 1 to 6 of them.
    Raises: ValueError if there are none, or more.
    """
    if not 1 <= len(numbers) <= MAX_NUMBERS:
        raise ValueError(f"numbers must be 1 to {MAX_NUMBERS}, got {len(numbers)}")
    return _reachable(tuple(sorted(numbers)))


def find_solution(numbers: Sequence[int], target: int) -> str | None:
    """Return an expression that uses each number once and is worth the target, None where there is none."""
    return reachable(numbers).get(Fraction(target))


# Subsets of one puzzle come back again and again, puzzles do not.
@lru_cache(maxsize=4096)
def _reachable(numbers: tuple[int, ...]) -> dict[Fraction, str]:
    if len(numbers) == 1:
        return {Fraction(numbers[0]): str(numbers[0])}
    found: dict[Fraction, str] = {}
    # Each way to part the numbers in two, once: the first number is always on the left.
    for mask in range(1, 1 << len(numbers), 2):
        left = tuple(number for i, number in enumerate(numbers) if mask >> i & 1)
        right = tuple(number for i, number in enumerate(numbers) if not mask >> i & 1)
        if not right:
            continue
        for a, written_a in _reachable(left).items():
            for b, written_b in _reachable(right).items():
                for value, text in _combined(a, written_a, b, written_b):
                    found.setdefault(value, text)
    return found


def _combined(a: Fraction, written_a: str, b: Fraction, written_b: str) -> list[tuple[Fraction, str]]:
    left, right = (text if text.isdigit() else f"({text})" for text in (written_a, written_b))
    pairs = [
        (a + b, f"{left}+{right}"),
        (a - b, f"{left}-{right}"),
        (b - a, f"{right}-{left}"),
        (a * b, f"{left}*{right}"),
    ]
    if b:
        pairs.append((a / b, f"{left}/{right}"))
    if a:
        pairs.append((b / a, f"{right}/{left}"))
    return pairs
