"""What a method's `build` takes and gives: clean rows with what was drawn for them, and one training forward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple, TypedDict

import torch
from torch import Tensor

from lift.objectives.batch import DenoisingBatch, EntropyFunction, ScoreFunction
from lift.objectives.methods import METHODS
from lift.objectives.options import LiftOptions
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

    def to(self, device: torch.device) -> Draws:
        """Return the same on `device`."""
        return Draws(
            self.u.to(device), self.timestep.to(device), None if self.rho is None else self.rho.to(device),
            None if self.order is None else self.order.to(device),
        )  # fmt: skip


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
    mask_token_id: int
    pad_token_id: int
    score: ScoreFunction
    entropy: EntropyFunction
    lengths: Sequence[int] | None = None  # B numbers: each row's tokens before its padding; None where none has any
    mean_of_step: Tensor | None = None  # 0-d, what the rows of a method that `reads_step` are compared with

    @property
    def mask_draw(self) -> MaskDraw:
        """The common arguments of the objectives."""
        return {"mask_token_id": self.mask_token_id, "seed": self.seed, "example_id": self.example_id}

    @property
    def is_padding(self) -> Tensor:
        """What lies beyond each row, (B, L) bool: by position, as the end token may be the pad token too."""
        if self.lengths is None:
            return torch.zeros_like(self.maskable)
        position = torch.arange(self.clean_ids.shape[1], device=self.clean_ids.device)
        return position >= torch.tensor(self.lengths, device=position.device)[:, None]


class TrainingBatch(NamedTuple):
    """One training forward, and what the log says about it."""

    batch: DenoisingBatch
    maskable: Tensor  # bool, shaped as the batch's labels: what the loss may be divided by; of gift what it drew
    draws: Draws
    rejected: Tensor | None = None  # (B, L) bool: masked and scored, but not kept
    rejected_log_prob: Tensor | None = None  # (B, L)
    one_forward: OneForward | None = None  # of the one-forward objective
    row_weight: Tensor | None = None  # (B,) 1/t or 1: its weights, in place of the batch's token_weight

    @property
    def timestep(self) -> Tensor:
        """The mask rate (B,) of each row, that at its diffusion time."""
        return self.draws.timestep


def build_training_batch(rows: MicroBatch) -> TrainingBatch:
    """Make the training batch of `rows` by the `build` of the method that their options name."""
    build: Callable[[MicroBatch], TrainingBatch] = _module(rows.options).build
    return build(rows)


def whole_step(rows: Sequence[MicroBatch], reduce: Callable[[Tensor], Tensor]) -> list[MicroBatch]:
    """Return the micro-batches of a step with what a method that `reads_step` must know of all of them.

    `reduce` adds a tensor of all processes.
    """
    complete: Callable[..., list[MicroBatch]] = _module(rows[0].options).whole_step
    return complete(rows, reduce)


def _module(options: LiftOptions) -> Any:
    return import_module(f"lift.objectives.{METHODS[options.method].module}")
