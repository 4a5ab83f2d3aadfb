"""How many tokens each step of a block commits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lift.sampling.schedule import plan_blocks


@given(st.integers(1, 12), st.integers(1, 12), st.data())
def test_every_token_of_a_block_is_committed_and_the_first_steps_take_the_rest(num_blocks, block_length, data):
    steps_per_block = data.draw(st.integers(1, block_length))
    length, schedule = plan_blocks(num_blocks * block_length, block_length, num_blocks * steps_per_block)
    assert length == block_length == sum(schedule) and len(schedule) == steps_per_block
    assert schedule == sorted(schedule, reverse=True) and max(schedule) - min(schedule) <= 1


def test_by_default_one_block_and_one_token_a_step():
    assert plan_blocks(5, None, None) == (5, [1] * 5)
    assert plan_blocks(6, 3, None) == (3, [1] * 3)
    assert plan_blocks(7, None, 3) == (7, [3, 2, 2])


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [
        ((0, None, None), "gen_length must be at least 1, got 0"),
        ((8, 3, None), "block_length must divide gen_length 8, got 3"),
        ((8, 0, None), "block_length must divide gen_length 8, got 0"),
        ((8, 2, 2), "steps must be a multiple of the number of blocks, 4, and at most gen_length 8, got 2"),
        ((8, 2, 6), "number of blocks, 4, and at most gen_length 8, got 6"),
        ((8, 2, 12), "number of blocks, 4, and at most gen_length 8, got 12"),
    ],
)
def test_what_does_not_divide_is_refused(plan, sentence):
    with pytest.raises(ValueError, match=sentence):
        plan_blocks(*plan)
