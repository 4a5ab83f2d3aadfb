"""Which row each slot of a pool takes in turn, and how many steps an epoch of it has.

A pool has as many slots as an optimiser step has rows, over all its micro-batches and processes, and a row's place in
the step is its slot. The loader cannot hand the pool its rows: how many a step needs, and with a threshold which slots
do, is known only when the step before has been trained. So the loader of a run with a pool counts steps and nothing
else, which transformers resumes as it does any loader, and each slot has a sequence of rows of its own: in turn k slot
s of S takes row number k S + s of an endless sequence, which goes through the whole data set, in a new order, again and
again. So

- every row enters once in each pass over the data, whatever the slots do, and none is left out;
- a slot needs nothing of the others: no process asks another, and a split of the step changes nothing;
- where a slot stands is one number, its turn, which a checkpoint keeps.

An epoch of the trainer is K times as many steps as the rows alone would fill, as each row stays for K steps: so that
one epoch is one pass. Two things are not exact. Rows of the first turn enter in a phase beyond the first, all phases
alike often, so that a step's rows are of all phases from the start; they stay for fewer steps, and the next pass begins
early by these. And the rows that are in the pool when the run ends have not gone through all their phases. With a
threshold rows leave sooner, and an epoch makes more than one pass.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.utils.data import Dataset

from lift.objectives.forward_process import step_seed

_START = -1  # stands for the pass in the seed of the first phases


class PoolSteps(Dataset[dict[str, int]]):
    """The steps of an epoch, for a loader: the slot of each row of each.

    Args:
        num_rows: of the data set.
        num_slots: of the pool.
        num_phases: K.
    """

    def __init__(self, num_rows: int, num_slots: int, num_phases: int) -> None:
        self.num_slots = num_slots
        self.num_steps = -(-num_rows * num_phases // num_slots)

    def __len__(self) -> int:
        return self.num_steps * self.num_slots

    def __getitem__(self, index: int) -> dict[str, int]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return {"slot": index % self.num_slots}


def row_in_turn(turn: int, slot: int, num_slots: int, *, num_rows: int, seed: int) -> tuple[int, int]:
    """Return the number of the row that `slot` takes in its turn, counted from 0, and of the pass over the data."""
    number, place = divmod(turn * num_slots + slot, num_rows)
    return int(_order(seed, number, num_rows)[place]), number


def first_phases(num_slots: int, num_phases: int, seed: int) -> Tensor:
    """Return the phase (S,) int64 in which each slot's first row enters: all alike often, in random order."""
    generator = torch.Generator().manual_seed(step_seed(seed, _START))
    return torch.arange(num_slots)[torch.randperm(num_slots, generator=generator)] % num_phases


@lru_cache(maxsize=4)  # slots may stand in different passes
def _order(seed: int, number: int, num_rows: int) -> Tensor:
    return torch.randperm(num_rows, generator=torch.Generator().manual_seed(step_seed(seed, number)))
