from __future__ import annotations

import pytest
import torch

from lift.training.pool_schedule import PoolSteps, first_phases, row_in_turn


def test_every_row_enters_once_in_a_pass_however_fast_the_slots_are():
    num_rows, num_slots = 7, 3
    passes: dict[int, list[int]] = {}
    for slot, num_turns in enumerate((14, 14, 14)):
        for turn in reversed(range(num_turns)):  # in whatever order
            row, number = row_in_turn(turn, slot, num_slots, num_rows=num_rows, seed=1)
            passes.setdefault(number, []).append(row)
    assert sorted(passes) == list(range(6)) and all(sorted(rows) == list(range(7)) for rows in passes.values())
    order = [[row_in_turn(n * 7 + i, 0, 1, num_rows=7, seed=seed)[0] for i in range(7)] for n, seed in
             ((0, 1), (1, 1), (0, 2))]  # fmt: skip
    assert order[0] != order[1] and order[0] != order[2]


def test_slots_take_the_rows_of_a_pass_in_turn():
    one = [row_in_turn(turn, 0, 1, num_rows=10, seed=3) for turn in range(20)]
    four = [row_in_turn(turn, slot, 4, num_rows=10, seed=3) for turn in range(5) for slot in range(4)]
    assert one == four


@pytest.mark.parametrize(("rows", "slots", "phases", "steps"), [(24, 4, 8, 48), (10, 4, 3, 8), (2, 8, 1, 1)])
def test_an_epoch_is_a_pass(rows, slots, phases, steps):
    loader = PoolSteps(rows, slots, phases)
    assert (loader.num_steps, len(loader)) == (steps, steps * slots)
    assert [loader[i]["slot"] for i in range(len(loader))] == list(range(slots)) * steps
    for index in (-1, len(loader)):
        with pytest.raises(IndexError):
            loader[index]


@pytest.mark.parametrize(("slots", "phases"), [(8, 4), (10, 4), (3, 8)])
def test_first_rows_are_of_all_phases_alike_often(slots, phases):
    found = first_phases(slots, phases, seed=0)
    assert found.sort().values.tolist() == sorted(slot % phases for slot in range(slots))
    assert torch.equal(found, first_phases(slots, phases, seed=0))
    if slots > 3:
        assert not torch.equal(found, first_phases(slots, phases, seed=1))
