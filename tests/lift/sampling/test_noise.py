"""Draws: distributed as they should be, and the same whatever is beside them."""

from __future__ import annotations

import math

import torch

from lift.sampling.noise import MOVES, SCORES, CounterNoise


def noise(rows: int, seed: int = 0) -> CounterNoise:
    return CounterNoise(seed, torch.arange(rows), torch.zeros(rows, dtype=torch.int64))


def test_tokens_are_drawn_from_the_softmax():
    rows, logits = 20000, torch.tensor([0.3, -1.0, 2.0, -torch.inf, 0.9])
    row = torch.arange(rows)
    source = noise(rows)
    source.begin(1, 0, 0)
    tokens = source.tokens(logits.expand(rows, 5), row, torch.zeros_like(row))
    expected = logits.double().softmax(0) * rows
    counts = tokens.bincount(minlength=5).double()
    assert counts[3] == 0
    kept = expected > 0
    chi_squared = ((counts - expected)[kept] ** 2 / expected[kept]).sum()
    assert chi_squared < 25  # 3 degrees of freedom: p = 1.5e-5


def test_uniforms_are_uniform_and_purposes_and_steps_independent():
    rows = 20000
    row = torch.arange(rows)
    source, found = noise(rows), {}
    for step in (0, 1):
        source.begin(1, 0, step)
        for purpose in (SCORES, MOVES):
            found[step, purpose] = source.uniforms(purpose, row, row % 7).double()
    for values in found.values():
        assert 0 < values.min() and values.max() < 1
        assert abs(values.mean() - 0.5) < 5 / math.sqrt(12 * rows)
    for first in found:
        for second in found:
            if first < second:
                correlation = torch.corrcoef(torch.stack([found[first], found[second]]))[0, 1]
                assert abs(correlation) < 5 / math.sqrt(rows)


def test_a_draw_depends_on_its_name_alone():
    logits = torch.randn(6, 11)
    row, column = torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([3, 4, 3, 5, 3, 9])
    source = noise(3)
    source.begin(1, 2, 5)
    whole = source.tokens(logits, row, column)
    parts = [source.tokens(logits[i : i + 1], row[i : i + 1], column[i : i + 1]) for i in range(6)]
    assert torch.equal(whole, torch.cat(parts))
    # The row id counts, and not the row; and columns from the row's first token.
    other = CounterNoise(0, torch.tensor([2, 0]), torch.tensor([10, 0]))
    other.begin(9, 2, 5)
    assert torch.equal(other.tokens(logits[4:], torch.tensor([0, 0]), column[4:] + 10), whole[4:])


def test_ids_are_alike_likely():
    rows = 20000
    row = torch.arange(rows)
    ids = noise(rows).token_ids(row, row % 5, 8)
    assert ((ids.bincount(minlength=8) - rows / 8) ** 2 / (rows / 8)).sum() < 40  # 7 degrees of freedom
