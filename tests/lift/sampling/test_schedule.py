"""How many tokens each step of a block commits."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lift.sampling import SamplingConfig
from lift.sampling.plan import plan_steps
from lift.sampling.schedule import build_schedule, diffusion_shares, shares_of, step_probability

SCHEDULES = ("even", "linear", "cosine", "dream")


def shares(schedule: str, count: int, num_steps: int, **options) -> list[int]:
    return shares_of(SamplingConfig(schedule=schedule, **options), count, num_steps)


@given(st.sampled_from(SCHEDULES), st.integers(0, 40), st.integers(1, 45))
def test_every_token_is_committed_and_no_step_is_idle(schedule, count, num_steps):
    found = shares(schedule, count, num_steps)
    assert sum(found) == count and all(found) and len(found) <= num_steps


def test_published_numbers():
    assert shares("even", 8, 3) == [3, 3, 2]
    assert shares("even", 3, 5) == [1, 1, 1] and shares("even", 3, 5, idle_steps=True) == [1, 1, 1, 0, 0]
    assert shares("linear", 8, 3) == [3, 2, 3] and shares("linear", 6, 5) == [1, 1, 1, 2, 1]
    assert shares("linear", 32, 5) == [6, 6, 7, 6, 7]
    assert shares("cosine", 32, 8) == [1, 2, 3, 4, 5, 5, 6, 6]


@given(st.integers(1, 64), st.integers(1, 16))
def test_a_diffusion_leaves_what_its_masked_share_says(count, num_steps):
    """Each step rounds once; what it then has too many or too few, the later ones make up for in proportion."""
    left = Fraction(count)
    for step, share in enumerate(diffusion_shares(count, num_steps, "linear")):
        expected = left * Fraction(1, num_steps - step)
        assert abs(share - expected) <= Fraction(1, 2) + Fraction(1, 10**4)
        left -= share


def test_dreams_floor_of_the_mean_wastes_its_first_step():
    config = SamplingConfig(schedule="dream", batch_quota=True, idle_steps=True)
    left, counts = torch.tensor([12, 12]), []
    schedule = build_schedule(config, left, 12, 12)
    for step in range(12):
        quota = schedule.quota(step, left)
        counts.append(int(quota[0]))
        left = left - quota
    assert counts == [0] + [1] * 10 + [2] and schedule.num_steps.tolist() == [12, 12]
    assert step_probability(1e-3, 4, 3) == 1 and 0 < float(step_probability(1e-3, 4, 0)) < 0.25


def test_rows_have_their_own_numbers_and_steps():
    schedule = build_schedule(SamplingConfig(), torch.tensor([5, 2, 0]), 8, 3)
    assert schedule.num_steps.tolist() == [3, 2, 0]
    assert [schedule.quota(step, None).tolist() for step in range(3)] == [[2, 1, 0], [2, 1, 0], [1, 0, 0]]


def test_what_a_threshold_rejects_is_carried_to_the_next_step():
    config = SamplingConfig(schedule="carry", threshold=0.5)
    schedule = build_schedule(config, torch.tensor([6]), 6, 3)
    assert schedule.num_steps is None
    assert [int(schedule.quota(step, torch.tensor([left]))) for step, left in enumerate((6, 5, 4, 3))] == [2, 3, 4, 3]


def test_by_default_one_block_and_one_token_a_step():
    assert plan_steps(SamplingConfig(), 5) == (5, 5)
    assert plan_steps(SamplingConfig(block_length=3), 6) == (3, 3)
    assert plan_steps(SamplingConfig(steps=3), 7) == (7, 3)
    assert plan_steps(SamplingConfig(block_length=3, steps=4, uneven="ceil"), 7) == (3, 2)
    assert plan_steps(SamplingConfig(block_length=8, steps=2, uneven="floor"), 24) == (8, 1)


@pytest.mark.parametrize(
    ("length", "options", "sentence"),
    [
        (8, {"block_length": 3}, "block_length must divide gen_length 8, got 3"),
        (8, {"block_length": 2, "steps": 2}, "number of blocks, 4, and at most gen_length 8, got 2"),
        (8, {"block_length": 2, "steps": 6}, "number of blocks, 4, and at most gen_length 8, got 6"),
        (8, {"block_length": 2, "steps": 12}, "number of blocks, 4, and at most gen_length 8, got 12"),
    ],
)
def test_what_does_not_divide_is_refused(length, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        plan_steps(SamplingConfig(**options), length)
