"""The loop of every sampler: propose, score, choose, commit, until a block's masks are gone or its steps are over."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from lift.sampling.choose import choose, exceeds
from lift.sampling.config import SamplingConfig
from lift.sampling.denoise import Denoiser
from lift.sampling.layout import Canvas
from lift.sampling.noise import MOVES, Noise
from lift.sampling.one_pass import Proposal
from lift.sampling.schedule import Schedule, build_schedule, step_probability
from lift.sampling.stopping import ended_within_block, first_stop, pad_behind_stop


class BlockDecoder:
    """Write the answers of a canvas.

    Args:
        canvas: changed in place, by new ids.
        denoiser: proposes tokens.
        config, noise: the settings and the draws.
        block_length, num_steps: of a block.
        mask_token_id, pad_token_id: the ids of these tokens.
        on_commit: called after each step that ran.
    """

    def __init__(
        self, canvas: Canvas, denoiser: Denoiser, config: SamplingConfig, noise: Noise, block_length: int,
        num_steps: int, mask_token_id: int, pad_token_id: int, on_commit: Callable[[], None],
    ) -> None:  # fmt: skip
        self._canvas, self._denoiser, self._config, self._noise = canvas, denoiser, config, noise
        self._block_length, self._num_steps, self._on_commit = block_length, num_steps, on_commit
        self._mask_token_id, self._pad_token_id = mask_token_id, pad_token_id
        device = canvas.ids.device
        self._column = torch.arange(canvas.ids.shape[1], device=device)
        self._stop_ids = torch.tensor(config.stop_ids, dtype=torch.int64, device=device)
        self._stops = config.early_stop and len(config.stop_ids) > 0
        self._is_active = torch.ones(len(canvas.ids), dtype=torch.bool, device=device)
        # Masks that the caller gave as text stay, but for samplers that take any mask for one of theirs.
        self._may_change = canvas.is_there if config.mask_token == "commit" else canvas.is_answer
        self.unmask_step = torch.full_like(canvas.ids, -1)
        self.confidence = torch.full(canvas.ids.shape, -1.0, device=device)

    def run(self) -> None:
        """Write block after block."""
        for index, block in enumerate(self._canvas.blocks):
            if not self._is_active.any():
                break
            self._write(index, block)
            if self._config.store_last_block and self._config.cache is not None:
                self._denoiser.store(block[1])
            self._stop_after(block)

    def _write(self, index: int, block: tuple[int, int]) -> None:
        config = self._config
        in_block = (self._column >= block[0]) & (self._column < block[1])
        window = self._column < block[1] if config.earlier_masks else in_block
        is_edited = config.editing_threshold is not None
        num_post = torch.zeros_like(self._canvas.first)
        is_at_work = self._is_active.clone()
        schedule = build_schedule(
            config, (self._masks() & in_block).sum(1), min(self._block_length, block[1] - block[0]), self._num_steps
        )
        if is_edited:
            is_at_work &= (self._canvas.is_answer & in_block).any(1)
        for step in itertools.count():
            masks = self._masks()
            has_mask = (masks & in_block).any(1)
            if is_edited:
                num_post += ~has_mask
                is_at_work &= num_post <= config.max_post_steps
                is_running = is_at_work
            else:
                is_running = self._is_active & self._goes_on(schedule, step, has_mask)
            if not is_running.any():
                return
            candidates = masks & window & is_running[:, None]
            editable = self._canvas.is_answer & ~masks & in_block & is_running[:, None]
            proposal, chosen, edits = self._step(index, block, step, candidates, editable, schedule)
            committed = chosen | edits
            self._canvas.ids = torch.where(committed, proposal.token, self._canvas.ids)
            is_written = committed & (proposal.token != self._mask_token_id)
            self.confidence = torch.where(is_written, proposal.log_prob.float().exp(), self.confidence)
            is_new = chosen & is_written & (self.unmask_step < 0)
            self.unmask_step = self.unmask_step.masked_fill(is_new, self._denoiser.num_forwards - 1)
            is_at_work = is_at_work & (has_mask | edits.any(1))
            if self._stops and config.stop_at == "token":
                self._end(ended_within_block(self._canvas, self._masks(), committed, self._stop_ids, config))
                is_at_work &= self._is_active
            self._on_commit()

    def _masks(self) -> Tensor:
        return (self._canvas.ids == self._mask_token_id) & self._may_change

    def _goes_on(self, schedule: Schedule, step: int, has_mask: Tensor) -> Tensor:
        config = self._config
        if step == 1 and config.second_forward and config.cache is not None:
            return torch.ones_like(has_mask)
        if schedule.num_steps is None or config.leftover == "continue":
            return has_mask
        is_within = step < schedule.num_steps
        return is_within if config.idle_steps else is_within & has_mask

    def _step(
        self, index: int, block: tuple[int, int], step: int, candidates: Tensor, editable: Tensor, schedule: Schedule
    ) -> tuple[Proposal, Tensor, Tensor]:
        """Run a forward; return what it proposes, commits and edits, (B, T) each, the latter two bool."""
        config = self._config
        if config.schedule == "bernoulli":
            self._noise.begin(self._denoiser.num_forwards + 1, index, step)
            row, column = candidates.nonzero(as_tuple=True)
            moves = self._noise.uniforms(MOVES, row, column) < step_probability(config.eps, self._num_steps, step)
            candidates = candidates.masked_scatter(candidates, moves)
        is_edited = config.editing_threshold is not None
        proposal = self._denoiser.propose(block, index, step, candidates | editable if is_edited else candidates)
        score = proposal.score
        num_masks = candidates.sum(1)
        chosen = choose(score, candidates, schedule.quota(step, num_masks), config, self._noise)
        if config.leftover == "commit" and schedule.num_steps is not None:
            chosen |= candidates & (schedule.num_steps == step + 1)[:, None]
        edits = torch.zeros_like(chosen)
        if config.editing_threshold is not None:
            edits = editable & exceeds(score, config.editing_threshold, config) & (proposal.token != self._canvas.ids)
        return proposal, chosen, edits

    def _stop_after(self, block: tuple[int, int]) -> None:
        """End rows that hold a stop id in what is written."""
        config = self._config
        if not self._stops or (config.stop_at == "token" and not config.stop_needs_commit):
            return
        has_stop, column = first_stop(self._canvas, self._stop_ids)
        has_stop &= column < block[1]
        if config.stop_at != "batch":
            self._end(has_stop)
        elif has_stop.all():
            self._end(has_stop)

    def _end(self, rows: Tensor) -> None:
        rows = rows & self._is_active
        self._is_active = self._is_active & ~rows
        if self._config.pad_after_stop and rows.any():
            self._canvas.ids = pad_behind_stop(self._canvas, rows, self._stop_ids, self._pad_token_id)
