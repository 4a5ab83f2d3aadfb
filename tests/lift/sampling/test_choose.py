"""Which positions a step commits, against the rules in plain words."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lift.sampling import SamplingConfig
from lift.sampling.choose import choose, exceeds
from lift.sampling.noise import CounterNoise


def chosen(probability: list[float | None], quota: int, **options) -> set[int]:
    """None is no candidate."""
    score = torch.tensor([[math.log(p) if p else -math.inf for p in probability]])
    is_candidate = torch.tensor([[p is not None for p in probability]])
    noise = CounterNoise(0, torch.tensor([0]), torch.tensor([0]))
    found = choose(score, is_candidate, torch.tensor([quota]), SamplingConfig(**options), noise)
    return set(found[0].nonzero()[:, 0].tolist())


P = [0.3, None, 0.9, 0.6, None, 0.9, 0.2]


def test_the_best_are_taken_and_ties_go_to_the_lower_position():
    assert [chosen(P, quota) for quota in range(5)] == [set(), {2}, {2, 5}, {2, 3, 5}, {0, 2, 3, 5}]
    assert chosen(P, 99) == {0, 2, 3, 5, 6}
    assert chosen([0.0, 0.0, None], 1) == {0}  # a candidate without a chance still is one


def test_a_threshold_takes_what_reaches_it_and_the_best_always():
    assert chosen(P, 1, threshold=0.6) == {2, 3, 5} and chosen(P, 1, threshold=0.95) == {2}
    assert chosen(P, 1, threshold=0.0) == {0, 2, 3, 5, 6}
    assert chosen(P, 2, threshold=0.6, schedule="carry") == {2, 5}
    assert chosen(P, 4, threshold=0.6, schedule="carry") == {2, 3, 5}


def test_quota_first_uses_the_threshold_where_it_gives_enough():
    options = {"threshold": 0.6, "quota_first": True}
    assert chosen(P, 1, **options) == {2, 5}  # above, not at
    assert chosen(P, 3, **options) == {2, 3, 5}


@pytest.mark.parametrize(
    ("probability", "prefix", "prefix_or_last", "count"),
    [
        # Least: any, 1 - 1/3, 1 - 1/4, 1 - 1/5 at factor 1.
        ([0.5, 0.5, 0.5, 0.5], 1, 1, 1),
        ([0.9, 0.7, 0.7, 0.7], 2, 2, 2),
        ([0.9, 0.9, 0.9, 0.7], 3, 4, 3),  # only the last one fails
        ([0.9, 0.9], 2, 2, 2),
    ],
)
def test_a_factor_takes_the_longest_run_that_passes(probability, prefix, prefix_or_last, count):
    for rule, number in (("prefix", prefix), ("prefix_or_last", prefix_or_last), ("count", count)):
        assert len(chosen(probability, 1, factor=1.0, factor_rule=rule)) == number, rule


def test_counting_goes_on_behind_a_failure():
    # 0.7 fails 1 - 1.2/4 = 0.7 by nothing; in falling order a later one passes only if its bound is lower, so never.
    assert chosen([0.95, 0.55, 0.5], 1, factor=1.2, factor_rule="count") == {0}
    assert chosen([0.95, 0.61, 0.5], 1, factor=1.2, factor_rule="count") == {0, 1}


@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=9), st.floats(0.1, 2.0))
def test_the_factor_rule_is_its_formula(probability, factor):
    ordered = sorted(probability, reverse=True)
    number = 1
    while number < len(ordered) and ordered[number] >= 1 - factor / (number + 2) + 1e-6:
        number += 1
    is_near = any(abs(p - (1 - factor / (n + 2))) < 2e-6 for n, p in enumerate(ordered))
    assert is_near or len(chosen(probability, 1, factor=factor)) == number


def test_edits_are_above_a_probability():
    config = SamplingConfig()
    assert exceeds(torch.tensor([0.5, 0.9, 0.91]).log(), 0.9, config).tolist() == [False, False, True]
    assert exceeds(torch.tensor([-math.inf, -5.0]), 0.0, config).tolist() == [False, True]


def test_positions_are_drawn_without_replacement_by_the_softmax_of_the_score():
    probability, temperature, rows = torch.tensor([0.2, 0.5, 0.9, 0.6]), 0.4, 4000
    score = probability.log().expand(rows, 4)
    is_candidate = torch.tensor([True, True, True, False]).expand(rows, 4)
    noise = CounterNoise(1, torch.arange(rows), torch.zeros(rows, dtype=torch.int64))
    config = SamplingConfig(position_temperature=temperature)
    found = choose(score, is_candidate, torch.full((rows,), 2), config, noise)
    assert (found.sum(1) == 2).all() and not found[:, 3].any()
    weight = (probability[:3].double() / temperature).exp()
    p = weight / weight.sum()
    for i, j in ((0, 1), (0, 2), (1, 2)):
        expected = float(p[i] * p[j] / (1 - p[i]) + p[j] * p[i] / (1 - p[j]))
        share = float((found[:, i] & found[:, j]).double().mean())
        assert abs(share - expected) < 5 * math.sqrt(expected / rows)
