"""PUMA's rules for one row, in whole numbers and lists."""

from __future__ import annotations

from fractions import Fraction
from math import floor

from lift_kernels import reference

SEED, STREAM = 5, 4


def wanted(phase: int, num_tokens: int, visit: int, num_phases: int) -> int:
    """round(r n) with r uniform in [j / K, (j + 1) / K), at most n - 1."""
    uniform = Fraction(reference.random_word(SEED, visit, phase, STREAM) >> 8, 2**24)
    return min(floor((phase + uniform) / num_phases * num_tokens + Fraction(1, 2)), max(num_tokens - 1, 0))


def next_mask(mask: list[bool], response: list[bool], score: list[float], phase: int, visit: int, num_phases: int):
    """A row's mask in `phase`, as the description has it."""
    if phase >= num_phases:
        return mask
    visible = sum(response) - sum(mask)
    missing = max(wanted(phase, sum(response), visit, num_phases) - visible, 0)
    best = sorted((i for i in range(len(mask)) if mask[i]), key=lambda i: (-score[i], i))[:missing]
    return [is_masked and i not in best for i, is_masked in enumerate(mask)]
