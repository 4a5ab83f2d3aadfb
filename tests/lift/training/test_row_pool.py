"""The pool of one process against a simulation row by row, and its properties."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lift.objectives import Draws, LiftOptions, MicroBatch, step_seed
from lift.objectives.blocks import Blocks
from lift.training.pool_schedule import first_phases, row_in_turn
from lift.training.row_pool import RowPool
from tests.lift.support.pool_rules import SEED, next_mask, wanted

NUM_ROWS, PROMPT = 11, 2
LENGTHS = torch.randint(3, 16, (NUM_ROWS,), generator=torch.Generator().manual_seed(4)).tolist()
ROWS = [{"example_id": 100 + i, "length": n} for i, n in enumerate(LENGTHS)]


def pool_of(micro_batches, num_slots, *, phases=4, threshold=None) -> RowPool:
    return RowPool(
        ROWS, micro_batches, num_slots, num_phases=phases, threshold=threshold, seed=SEED, data_seed=9,
        device=torch.device("cpu"),
    )  # fmt: skip


def as_method_has_it(rows, width: int, size: int | None) -> MicroBatch:
    number = len(rows)
    time = torch.ones(number)
    lengths = [row["length"] for row in rows]
    batch = MicroBatch(
        torch.ones(number, width, dtype=torch.int64), (torch.arange(width) >= PROMPT).expand(number, width),
        torch.tensor([row["example_id"] for row in rows]), None, Draws(time, time), 0, LiftOptions(), 9, 0, None, None,
        lengths,
    )  # fmt: skip
    if size is None:
        return batch
    blocks = Blocks.of_rows(number, width, size)
    ones = torch.ones(number * blocks.per_row)
    return replace(batch, draws=Draws(ones, ones)).folded(blocks)


def score_of(row: int, step: int, width: int) -> torch.Tensor:
    """What the model predicts depends on the row and the step alone."""
    generator = torch.Generator().manual_seed(1000 * step + row)
    return (0.05 + 0.95 * torch.rand(40, generator=generator)).log()[:width]


def one_step(pool: RowPool, step: int, size: int | None = None, *, multiple: int = 1):
    """The example and the mask of each slot of the process in a step, which is padded to its longest row."""
    micro_batches = pool.next_rows()
    width = max(row["length"] for rows in micro_batches for row in rows)
    width = -(-width // multiple) * multiple
    found = []
    for number, rows in enumerate(micro_batches):
        masked = pool.mask(number, as_method_has_it(rows, width, size)).clone()
        found += [(row["example_id"], mask[:16].tolist()) for row, mask in zip(rows, masked, strict=True)]
        pool.observe(number, torch.stack([score_of(row["example_id"], step, width) for row in rows]))
    padded = [(example, mask + [False] * (16 - len(mask))) for example, mask in found]
    return padded


class Simulation:
    """The description, one slot at a time, in lists."""

    def __init__(self, num_slots: int, phases: int, threshold: float | None) -> None:
        self.num_slots, self.phases, self.threshold = num_slots, phases, threshold
        self.turn, self.phase = [-1] * num_slots, [phases] * num_slots
        self.row, self.visit, self.mask = [0] * num_slots, [0] * num_slots, [[]] * num_slots

    def step(self, step: int) -> list[int]:
        """Refill and return which slots got another row."""
        new = []
        for slot in range(self.num_slots):
            if self.phase[slot] < self.phases:
                continue
            new.append(slot)
            self.turn[slot] += 1
            starts = first_phases(self.num_slots, self.phases, 9).tolist()
            self.phase[slot] = starts[slot] if self.turn[slot] == 0 else 0
            self.row[slot], number = row_in_turn(self.turn[slot], slot, self.num_slots, num_rows=NUM_ROWS, seed=9)
            self.visit[slot] = step_seed(100 + self.row[slot], number)
        return new

    def response(self, slot: int) -> list[bool]:
        return [PROMPT <= i < LENGTHS[self.row[slot]] for i in range(16)]

    def advance(self, slot: int, step: int) -> None:
        response, score = self.response(slot), score_of(100 + self.row[slot], step, 16).tolist()
        self.phase[slot] += 1
        mask = next_mask(self.mask[slot], response, score, self.phase[slot], self.visit[slot], self.phases)
        if self.threshold is not None:
            if self.phase[slot] < self.phases:
                sure = torch.tensor(self.threshold).log().item()
                mask = [is_masked and score[i] <= sure for i, is_masked in enumerate(mask)]
            n, left = sum(response), sum(mask)
            share = sum(j * n < (n - left) * self.phases for j in range(1, self.phases)) if left else self.phases
            self.phase[slot] = max(self.phase[slot], share)
        self.mask[slot] = mask


@pytest.mark.parametrize("threshold", [None, 0.8])
def test_the_pool_goes_as_the_description_has_it(threshold):
    num_slots, phases, num_steps = 4, 4, 30
    pool, truth = pool_of([[0, 1, 2, 3]], num_slots, phases=phases, threshold=threshold), Simulation(4, 4, threshold)
    for step in range(num_steps):
        found, new = one_step(pool, step), truth.step(step)
        for slot in range(num_slots):
            example, mask = found[slot]
            assert example == 100 + truth.row[slot]
            if slot in new:
                n = sum(truth.response(slot))
                assert sum(mask) == n - wanted(truth.phase[slot], n, truth.visit[slot], phases)
                assert all(is_response or not is_masked for is_masked, is_response in
                           zip(mask, truth.response(slot), strict=True))  # fmt: skip
                truth.mask[slot] = mask  # where it is masked is tested with the rules
            assert mask == truth.mask[slot]
            truth.advance(slot, step)
    turns = torch.tensor(truth.turn)
    assert turns.min() >= num_steps // phases - 1
    assert (turns.max() > turns.min() + 1) == (threshold is not None)  # slots then go at their own speed


@pytest.mark.parametrize("size", [None, 3])
@pytest.mark.parametrize("threshold", [None, 0.8])
def test_a_split_of_the_step_changes_nothing(threshold, size):
    """Neither into micro-batches nor into processes, nor the padding that comes of it."""
    whole = pool_of([[0, 1, 2, 3]], 4, threshold=threshold)
    split = pool_of([[0, 1], [2, 3]], 4, threshold=threshold)
    processes = [pool_of([[0], [2]], 4, threshold=threshold), pool_of([[1], [3]], 4, threshold=threshold)]
    for step in range(15):
        truth = one_step(whole, step, size)
        assert one_step(split, step, size, multiple=8) == truth
        first, second = (one_step(pool, step, size) for pool in processes)
        assert [first[0], second[0], first[1], second[1]] == truth


@pytest.mark.parametrize("threshold", [None, 0.8])
def test_a_block_as_long_as_the_row_is_the_row(threshold):
    rows, blocks = (pool_of([[0, 1], [2, 3]], 4, threshold=threshold) for _ in range(2))
    for step in range(15):
        assert one_step(rows, step, multiple=16) == one_step(blocks, step, 16, multiple=16)


def test_blocks_have_phases_of_their_own_and_a_row_leaves_when_all_are_done():
    pool = pool_of([[0, 1, 2, 3]], 4, threshold=0.8)
    apart = 0
    for step in range(20):
        before = pool.state()
        one_step(pool, step, 4)
        after = pool.state()
        done = (before.phase >= 4).all(1)
        assert torch.equal(after.turn - before.turn, done.long())
        apart += int((after.phase.amin(1) < after.phase[:, 0]).any())
    assert apart > 0


@pytest.mark.parametrize("size", [None, 4])
def test_a_state_goes_on_to_the_bit(size):
    whole, first = pool_of([[0, 1], [2, 3]], 4, threshold=0.9), pool_of([[0, 1], [2, 3]], 4, threshold=0.9)
    for step in range(7):
        assert one_step(whole, step, size) == one_step(first, step, size)
    resumed = pool_of([[0, 1], [2, 3]], 4, threshold=0.9)
    resumed.restore(first.state())
    for step in range(7, 20):
        assert one_step(whole, step, size) == one_step(resumed, step, size)


def test_a_mask_is_the_same_however_often_it_is_asked_for():
    pool = pool_of([[0, 1]], 2)
    first = [mask for _, mask in one_step(pool, 0)]
    second = pool.next_rows()
    masks = [pool.mask(0, as_method_has_it(second[0], 16, None)).tolist() for _ in range(2)]
    assert masks[0] == masks[1] != first
