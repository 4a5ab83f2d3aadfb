"""What numbers reach, against a search by brute force."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction

import pytest

from lift.tasks.countdown import evaluate, find_solution, reachable, read_expression


def brute_force(numbers: tuple[int, ...]) -> set[Fraction]:
    """Combine any two values until one is left, in every order."""
    found = set()

    def go(values: list[Fraction]) -> None:
        if len(values) == 1:
            found.add(values[0])
        for i, j in itertools.permutations(range(len(values)), 2):
            rest = [value for k, value in enumerate(values) if k not in (i, j)]
            a, b = values[i], values[j]
            for value in (a + b, a - b, a * b, *([a / b] if b else [])):
                go([*rest, value])

    go([Fraction(number) for number in numbers])
    return found


def test_every_reachable_value_has_its_expression():
    rng = random.Random(3)
    for size in (1, 2, 3, 3, 4):
        numbers = tuple(rng.randint(0, 12) for _ in range(size))
        found = reachable(numbers)
        assert set(found) == brute_force(numbers)
        for value, text in found.items():
            tokens = read_expression(text)
            assert evaluate(tokens) == value
            assert sorted(int(token) for token in tokens if token.isdigit()) == sorted(numbers)


def test_solutions():
    assert evaluate(read_expression(find_solution([8, 3, 8, 3], 24) or "0")) == 24
    assert find_solution([1, 1], 5) is None
    with pytest.raises(ValueError, match="1 to 6"):
        reachable(range(7))
