"""The pool of `method=puma`: rows that stay for several steps, and what is masked of them.

A step of the trainer goes

    next_rows    lets each row enter its next phase, by what was observed, and puts new ones in the place of those done
    mask         masks the rows that are new, and says what is masked of the others
    observe      takes note of what the model predicts at the masked tokens: statistics of the loss's own forward

and a checkpoint keeps, of each slot, its turn, the phase of its row's blocks, and what is masked. Every draw is a
function of (seed, row, block, pass over the data, phase): step, slot and the rows beside it do not matter.

Masks stay on the device, and without a threshold nothing is read from it: then all blocks of a row are in one phase,
which the host counts. A threshold makes the phase depend on what the model predicts; so it is read, once a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from lift.objectives.blocks import Blocks
from lift.objectives.micro_batch import MicroBatch
from lift.objectives.puma import mask_entering, phase_of, reveal, visit_id
from lift.training.pool_schedule import first_phases, row_in_turn


class PoolState(NamedTuple):
    """What a checkpoint keeps of N slots, on the host."""

    turn: Tensor
    """(N,) int64: how many rows the slot has taken, less 1."""

    phase: Tensor
    """(N, n) int64, of each of up to n blocks of the slot's row, or of the row; K where it has gone through all."""

    is_masked: Tensor
    """(N, L) bool, in rows of up to L tokens."""


class _Seen(NamedTuple):
    """A micro-batch as its method has it: U = B n rows or blocks."""

    response: Tensor  # (U, b) bool
    visit: Tensor  # (U,) int64
    blocks: Blocks | None


class RowPool:
    """The slots of one process.

    Args:
        rows: the data set, by number.
        micro_batches: the slots of each micro-batch of this process, all equally many.
        num_slots: of all processes.
        num_phases: K.
        threshold: see `lift.objectives.puma.reveal`.
        seed: of the masks.
        data_seed: of the order of the rows.
        device: where masks are kept.
    """

    def __init__(
        self, rows: Any, micro_batches: Sequence[Sequence[int]], num_slots: int, *, num_phases: int, seed: int,
        data_seed: int, device: torch.device, threshold: float | None = None,
    ) -> None:  # fmt: skip
        self.rows, self.num_slots, self.seed, self.data_seed = rows, num_slots, seed, data_seed
        self.num_phases, self.threshold, self.device = num_phases, threshold, device
        self.slots = [slot for slots in micro_batches for slot in slots]
        self._size = len(micro_batches[0])
        number = len(self.slots)
        self.restore(PoolState(
            torch.full((number,), -1), torch.full((number, 1), num_phases), torch.zeros(number, 1, dtype=torch.bool)
        ))  # fmt: skip

    def next_rows(self) -> list[list[Any]]:
        """Return the rows of each micro-batch of the next step."""
        self._advance()
        self._is_new = (self._phase >= self.num_phases).all(1)
        for place in self._is_new.nonzero()[:, 0].tolist():
            self._turn[place] += 1
            phases = first_phases(self.num_slots, self.num_phases, self.data_seed)
            self._phase[place] = phases[self.slots[place]] if self._turn[place] == 0 else 0
            self._rows[place] = None
        for place, row in enumerate(self._rows):
            if row is None:
                index, self._pass[place] = row_in_turn(
                    int(self._turn[place]), self.slots[place], self.num_slots, num_rows=len(self.rows),
                    seed=self.data_seed,
                )  # fmt: skip
                self._rows[place] = self.rows[index]
        self._seen.clear()
        return [self._rows[first : first + self._size] for first in range(0, len(self.slots), self._size)]

    def mask(self, number: int, rows: MicroBatch) -> Tensor:
        """Return what is masked (B, L) bool of micro-batch `number` of the step, given as its method has it."""
        own, blocks = self._places(number), rows.blocks
        length = rows.maskable.shape[1] if blocks is None else blocks.number.shape[1]
        per_row = len(rows.maskable) // self._size
        self._make_room(length, per_row)
        response = rows.maskable & ~rows.is_padding
        visit = visit_id(rows.example_id, self._pass[own].repeat_interleave(per_row).to(rows.example_id.device))
        self._seen[number] = _Seen(response, visit, blocks)
        if self._is_new[own].any():
            phase = self._phase[own, :per_row].flatten().clamp(max=self.num_phases - 1).to(response.device)
            masked = mask_entering(response, phase, visit, num_phases=self.num_phases, seed=self.seed)
            masked = masked if blocks is None else blocks.unfold(masked)
            masked = pad(masked, (0, self._masked.shape[1] - length))
            self._masked[own] = masked.where(self._is_new[own, None].to(masked.device), self._masked[own])
        return self._masked[own, :length]

    def observe(self, number: int, max_log_prob: Tensor) -> None:
        """Take note of the log-probability (B, L) of the most likely token wherever one is masked."""
        self._observed[number] = max_log_prob.detach()

    def state(self) -> PoolState:
        """Return what `restore` needs, between two steps."""
        self._advance()
        return PoolState(self._turn.clone(), self._phase.clone(), self._masked.cpu())

    def restore(self, state: PoolState) -> None:
        """Go on from `state`, of the slots of this process."""
        self._turn, self._phase = state.turn.clone(), state.phase.clone()
        self._masked = state.is_masked.to(self.device)
        self._pass = torch.zeros_like(self._turn)
        self._is_new = torch.zeros_like(self._turn, dtype=torch.bool)
        self._rows: list[Any] = [None] * len(self.slots)
        self._seen: dict[int, _Seen] = {}
        self._observed: dict[int, Tensor] = {}

    def _advance(self) -> None:
        observed, self._observed = self._observed, {}
        for number, max_log_prob in observed.items():
            own, (response, visit, blocks) = self._places(number), self._seen[number]
            per_row, length = len(response) // self._size, max_log_prob.shape[1]
            masked = self._masked[own, :length]
            if blocks is not None:
                masked, max_log_prob = blocks.fold(masked, False), blocks.fold(max_log_prob, 0)
            phase = self._phase[own, :per_row].flatten() + 1
            masked = reveal(
                masked, response, max_log_prob, phase.to(response.device), visit, num_phases=self.num_phases,
                seed=self.seed, threshold=self.threshold,
            )  # fmt: skip
            if self.threshold is not None:
                phase = phase.maximum(phase_of(masked, response, num_phases=self.num_phases).cpu())
            self._phase[own] = self.num_phases  # what lies beyond the row has no tokens
            self._phase[own, :per_row] = phase.clamp(max=self.num_phases).view(-1, per_row)
            self._masked[own, :length] = masked if blocks is None else blocks.unfold(masked)

    def _places(self, number: int) -> slice:
        return slice(number * self._size, (number + 1) * self._size)

    def _make_room(self, length: int, per_row: int) -> None:
        self._masked = pad(self._masked, (0, max(0, length - self._masked.shape[1])))
        missing = max(0, per_row - self._phase.shape[1])
        self._phase = torch.cat([self._phase, self._phase[:, :1].expand(-1, missing)], 1)
