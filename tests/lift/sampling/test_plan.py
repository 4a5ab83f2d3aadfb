"""Tokens and steps of a block, against what the published samplers make of lengths and steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lift import LiftError
from lift.sampling import SamplingConfig, preset
from lift.sampling.plan import plan_steps


def test_by_default_there_is_one_block_with_a_step_a_token():
    assert plan_steps(SamplingConfig(), 12) == (12, 12)
    assert plan_steps(SamplingConfig(block_length=4), 12) == (4, 4)
    assert plan_steps(SamplingConfig(block_length=4, steps=6), 12) == (4, 2)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60))
def test_what_divides_is_planned_whole_and_what_does_not_is_refused(length, block_length, steps):
    num_blocks = length // block_length
    fits = length % block_length == 0 and steps % num_blocks == 0 and steps <= length
    config = SamplingConfig(block_length=block_length, steps=steps)
    if fits:
        planned, num_steps = plan_steps(config, length)
        assert planned * num_blocks == length and num_steps * num_blocks == steps
    else:
        with pytest.raises(LiftError, match=r"must divide gen_length|must be a multiple of the number of blocks"):
            plan_steps(config, length)


@pytest.mark.parametrize(
    ("config", "length", "expected"),
    [
        (preset("lift", block_length=4, steps=7), 8, (4, 3)),  # max(1, steps // num_blocks), without an assertion
        (preset("lift", block_length=4, steps=2), 12, (4, 1)),
        (preset("dllm", block_length=4, steps=7), 8, (4, 4)),  # ceil, and the last block may be short
        (preset("dllm", block_length=4, steps=7), 10, (4, 3)),
        (preset("llada", reference_quirks=True, block_length=4, steps=32), 8, (4, 16)),  # more steps than tokens
        (preset("llada2", gen_length=64), 64, (32, 32)),  # min(steps a block, gen_length // minimal_topk)
        (preset("llada2", minimal_topk=4), 64, (32, 16)),
        (preset("llada2", minimal_topk=64, steps_per_block=8), 32, (32, 1)),
        (preset("sdar"), 10, (4, 4)),  # blocks counted from the row's start need not divide
        (SamplingConfig(infill=True, block_length=4, steps=5), 10, (4, 2)),  # nor those of a given text
    ],
)
def test_published_plans(config, length, expected):
    assert plan_steps(config, length) == expected


def test_more_steps_than_tokens_are_refused_with_the_limit():
    with pytest.raises(LiftError, match="multiple of the number of blocks, 2, and at most gen_length 8, got 16"):
        plan_steps(SamplingConfig(block_length=4, steps=16), 8)
