from __future__ import annotations

import pytest
import torch

from lift import LiftError
from lift.training.pool_file import FILE, gather_state, read_pool, write_pool
from lift.training.row_pool import PoolState, RowPool

STATE = PoolState(
    torch.tensor([3, 0, 2, 7]), torch.tensor([[0, 4], [1, 2], [4, 4], [3, 0]]), torch.eye(4, 6, dtype=torch.bool)
)


def test_slots_come_back_in_whatever_split(tmp_path):
    write_pool(tmp_path / "checkpoint", STATE)
    for slots in ([0, 1, 2, 3], [1, 3], [2]):
        found = read_pool(tmp_path / "checkpoint", slots, 4)
        for ours, theirs in zip(found, STATE, strict=True):
            assert ours.dtype == theirs.dtype and torch.equal(ours, theirs[slots])


def pool_of(slots: list[list[int]], width: int) -> RowPool:
    pool = RowPool([], slots, 4, num_phases=4, seed=0, data_seed=0, device=torch.device("cpu"))
    own = torch.tensor([slot for one in slots for slot in one])
    phase = STATE.phase[own] if width == 6 else STATE.phase[own, :1]
    pool.restore(PoolState(STATE.turn[own], phase, STATE.is_masked[own, :width]))
    return pool


def test_the_slots_of_all_processes_are_put_in_order_at_one_width():
    """The second process has seen shorter rows alone, of fewer blocks."""
    pools = [pool_of([[0], [3]], 6), pool_of([[1], [2]], 4)]
    parts: list[list[torch.Tensor]] = []
    for pool in pools:
        given: list[torch.Tensor] = []
        gather_state(pool, lambda values, given=given: given.append(values) or values, lambda n: {4: 6, 1: 2}.get(n, n))
        parts.append(given)
    joined = iter([torch.cat(both) for both in zip(*parts, strict=True)])
    state = gather_state(pools[0], lambda _: next(joined), lambda n: n)
    assert torch.equal(state.turn, STATE.turn) and torch.equal(state.is_masked, STATE.is_masked)
    assert state.phase.tolist() == [[0, 4], [1, 4], [4, 4], [3, 0]]  # blocks that a row has not count as done


def test_what_cannot_be_gone_on_with_is_a_sentence(tmp_path):
    with pytest.raises(LiftError, match=f"there is no {FILE} in .*: resume from a checkpoint of a run that keeps a"):
        read_pool(tmp_path, [0], 1)
    write_pool(tmp_path, STATE)
    with pytest.raises(LiftError, match="is a pool of 4 rows and a step of this run has 8: choose"):
        read_pool(tmp_path, [0, 1], 8)
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:30])
    with pytest.raises(LiftError, match=r"is damaged .*: resume from another checkpoint"):
        read_pool(tmp_path, [0], 4)
