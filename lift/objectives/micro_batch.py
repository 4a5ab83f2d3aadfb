"""What a method's `build` takes and gives: clean rows with what was drawn for them, and one training forward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, NamedTuple, TypedDict

import torch
from torch import Tensor

from lift.objectives.batch import DenoisingBatch, EntropyFunction, ScoreFunction
from lift.objectives.block_options import SMALL_BLOCK
from lift.objectives.blocks import Blocks
from lift.objectives.forward_process import draw_keep_uniforms
from lift.objectives.methods import METHODS
from lift.objectives.options import LiftOptions
from lift.objectives.uniform_noise import UniformNoise, train_all_positions
from lift_kernels.models import OneForward


@dataclass(frozen=True)
class Draws:
    """What is drawn for each row of a micro-batch before its masks, each (B,). No named tuple: loaders unpack those."""

    u: Tensor
    """The time before its floor, in [0, 1]."""

    timestep: Tensor
    """The mask rate at the diffusion time t; LIFT's schedule is the identity, so t itself."""

    rho: Tensor | None = None
    """The over-mask rate; None for methods that train all they mask."""

    order: Tensor | None = None
    """The mode, int64: EASY, MIDDLE or HARD; None for those methods."""

    importance: Tensor | None = None
    """One over the density that the time was drawn by; None where that is uniform."""

    def to(self, device: torch.device) -> Draws:
        """Return the same on `device`."""
        moved: dict[str, Any] = {name: None if part is None else part.to(device) for name, part in vars(self).items()}
        return Draws(**moved)


class MaskDraw(TypedDict):
    """What every mask is a function of, beside its rates."""

    mask_token_id: int
    seed: int
    example_id: Tensor


@dataclass(frozen=True)
class MicroBatch:
    """Clean rows, what was drawn for them, and whom to ask what the model expects of their masked tokens."""

    clean_ids: Tensor  # (B, L) int64
    maskable: Tensor  # (B, L) bool
    example_id: Tensor  # (B,) int64
    attention_mask: Tensor | None  # (B, L), or None where all is attended to
    draws: Draws
    seed: int
    options: LiftOptions
    mask_token_id: int  # with corruption=uniform the size of the vocabulary, see `uniform_noise`
    pad_token_id: int
    score: ScoreFunction
    entropy: EntropyFunction
    lengths: Sequence[int] | Tensor | None = None  # (B,): each row's tokens before its padding; None where none has any
    mean_of_step: Tensor | None = None  # 0-d, what the rows of a method that `reads_step` are compared with
    is_masked: Tensor | None = None  # (B, L) bool, of a method that `keeps_pool`: what its pool has masked
    blocks: Blocks | None = None  # where the rows here are the blocks of other rows, those: see `folded`

    @property
    def mask_draw(self) -> MaskDraw:
        """The common arguments of the objectives."""
        return {"mask_token_id": self.mask_token_id, "seed": self.seed, "example_id": self.example_id}

    @property
    def uniform_noise(self) -> UniformNoise | None:
        """What becomes of corrupted tokens, for which `mask_token_id` then stands; None where they are masked."""
        if self.options.corruption == "mask":
            return None
        return UniformNoise(self.mask_token_id, self.seed, self.example_id)

    def asking_about_noise(self) -> MicroBatch:
        """Return the same, but that the model is asked about rows whose corrupted tokens are what they become."""
        noise = self.uniform_noise
        if noise is None:
            return self
        return replace(self, score=noise.before(self.score), entropy=noise.before(self.entropy))

    @property
    def keep_uniform(self) -> Tensor | None:
        """What rounds the number of kept tokens (B,), or None where it is rounded to the nearest."""
        rounding = self.options.keep_rounding
        if rounding is None:
            is_small = self.blocks is not None and self.blocks.size <= SMALL_BLOCK
            rounding = "stochastic" if is_small else "nearest"
        return draw_keep_uniforms(self.seed, self.example_id) if rounding == "stochastic" else None

    @property
    def is_padding(self) -> Tensor:
        """What lies beyond each row, (B, L) bool: by position, as the end token may be the pad token too."""
        if self.lengths is None:
            return torch.zeros_like(self.maskable)
        position = torch.arange(self.clean_ids.shape[1], device=self.clean_ids.device)
        return position >= torch.as_tensor(self.lengths, device=position.device)[:, None]

    def folded(self, blocks: Blocks) -> MicroBatch:
        """Return these B rows, whose `draws` are those of their U blocks, as a micro-batch of U rows.

        The model is still asked about whole rows: what it says of a block depends on the blocks before.
        """
        is_token = torch.ones_like(self.clean_ids) if self.attention_mask is None else self.attention_mask

        def score(input_ids: Tensor, labels: Tensor, order: Tensor) -> Tensor:
            return blocks.fold(self.score(blocks.unfold(input_ids), blocks.unfold(labels), order), 0)

        def entropy(input_ids: Tensor, labels: Tensor) -> Tensor:
            return blocks.fold(self.entropy(blocks.unfold(input_ids), blocks.unfold(labels)), 0)

        return replace(
            self, clean_ids=blocks.fold(self.clean_ids, 0), maskable=blocks.fold(self.maskable, False),
            example_id=blocks.ids(self.example_id), attention_mask=blocks.fold(is_token, 0), score=score,
            entropy=entropy, lengths=blocks.fold(~self.is_padding, False).sum(1), blocks=blocks,
            is_masked=None if self.is_masked is None else blocks.fold(self.is_masked, False),
        )  # fmt: skip


class TrainingBatch(NamedTuple):
    """One training forward, and what the log says about it."""

    batch: DenoisingBatch
    maskable: Tensor  # bool, shaped as the batch's labels: what the loss may be divided by; of gift what it drew
    draws: Draws
    rejected: Tensor | None = None  # (B, L) bool: masked and scored, but not kept
    rejected_log_prob: Tensor | None = None  # (B, L)
    one_forward: OneForward | None = None  # of the one-forward objective
    row_weight: Tensor | None = None  # (B,) 1/t or 1: its weights, in place of the batch's token_weight
    confidence: float = 0.0  # what the mean entropy of the tokens that are right is multiplied by, in the loss
    blocks: Blocks | None = None  # where draws, one_forward and row_weight are of U blocks, not of rows

    @property
    def timestep(self) -> Tensor:
        """The mask rate (B,) of each row, that at its diffusion time."""
        return self.draws.timestep

    def weighted_by_importance(self) -> TrainingBatch:
        """Return the same with the weights of each row, in all its views, times the importance of its time.

        A sum of tokens over a number that does not depend on times is then in the mean what it is at uniform ones.
        """
        importance = self.draws.importance
        if importance is None:
            return self
        views = self.batch.labels.shape[0] // max(importance.shape[0], 1)
        weight = self.batch.token_weight * importance.repeat(views)[:, None]
        return self._replace(
            batch=self.batch._replace(token_weight=weight),
            row_weight=None if self.row_weight is None else self.row_weight * importance,
            one_forward=None if self.one_forward is None else self.one_forward._replace(row_weight=importance),
        )

    def unfolded(self, blocks: Blocks) -> TrainingBatch:
        """Return the training forward of U blocks as that of B rows. What was drawn for the blocks stays theirs."""
        one_forward = self.one_forward
        return self._replace(
            batch=blocks.unfold_batch(self.batch), maskable=blocks.unfold(self.maskable),
            rejected=None if self.rejected is None else blocks.unfold(self.rejected),
            rejected_log_prob=None if self.rejected_log_prob is None else blocks.unfold(self.rejected_log_prob),
            one_forward=None if one_forward is None else one_forward._replace(parts=blocks.index()),
            blocks=blocks,
        )  # fmt: skip


def build_training_batch(rows: MicroBatch) -> TrainingBatch:
    """Make the training batch of `rows` by the `build` of the method that their options name; of blocks, unfolded.

    Its weights correct for the density that times were drawn by.
    """
    build: Callable[[MicroBatch], TrainingBatch] = _module(rows.options).build
    prepared, noise = build(rows), rows.uniform_noise
    if noise is not None:
        batch = prepared.batch._replace(input_ids=noise.fill(prepared.batch.input_ids))
        if rows.options.loss_positions == "all":
            batch = train_all_positions(batch, rows.clean_ids, prepared.maskable)
            prepared = prepared._replace(rejected=None, rejected_log_prob=None)  # what was put back is trained too
        prepared = prepared._replace(batch=batch)
    if rows.draws.importance is not None:
        prepared = prepared.weighted_by_importance()
    return prepared if rows.blocks is None else prepared.unfolded(rows.blocks)


def whole_step(rows: Sequence[MicroBatch], reduce: Callable[[Tensor], Tensor]) -> list[MicroBatch]:
    """Return the micro-batches of a step with what a method that `reads_step` must know of all of them.

    `reduce` adds a tensor of all processes.
    """
    complete: Callable[..., list[MicroBatch]] = _module(rows[0].options).whole_step
    return complete(rows, reduce)


def _module(options: LiftOptions) -> Any:
    return import_module(f"lift.objectives.{METHODS[options.method].module}")
