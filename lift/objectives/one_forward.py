"""LIFT in one forward: score and train in one pass, at the price that rejected tokens stay masked."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lift.objectives.batch import DenoisingBatch, denoising_batch
from lift.objectives.choices import Learnability
from lift.objectives.methods import MIDDLE
from lift.objectives.micro_batch import MicroBatch, TrainingBatch
from lift.objectives.modes import num_to_keep
from lift_kernels import corrupt_tokens, select_tokens
from lift_kernels.models import OneForward


class OneForwardBatch(NamedTuple):
    """What `lift_kernels.lift_cross_entropy` takes, besides the times."""

    batch: DenoisingBatch  # labels and token_weight cover every masked token, kept or not
    num_keep: Tensor  # (B,) int64
    order: Tensor  # (B,) int64


def build(rows: MicroBatch) -> TrainingBatch:
    """Make the training batch of `lift2`, `lift3`, or one mode at every t, with `one_forward`."""
    options, draws = rows.options, rows.draws
    assert draws.rho is not None and draws.order is not None
    taken = one_forward_batch(
        rows.clean_ids, rows.maskable, draws.timestep, draws.rho, draws.order, learnability=options.learnability,
        time_scaling=options.time_scaling, min_keep=options.min_keep, keep_uniform=rows.keep_uniform, **rows.mask_draw,
    )  # fmt: skip
    one_forward = OneForward(
        draws.timestep, taken.num_keep, draws.order, learnability=options.learnability,
        temperature=options.soft_temperature, time_scaling=options.time_scaling, seed=rows.seed,
        row_ids=rows.example_id,
    )  # fmt: skip
    row_weight = 1 / draws.timestep if options.time_scaling else torch.ones_like(draws.timestep)
    return TrainingBatch(taken.batch, rows.maskable, draws, one_forward=one_forward, row_weight=row_weight)


def one_forward_batch(
    clean_ids: Tensor,  # (B, L)
    maskable: Tensor,  # (B, L) bool
    timestep: Tensor,  # (B,)
    rho: Tensor,  # (B,)
    order: Tensor,  # (B,)
    *,
    mask_token_id: int,
    seed: int,
    example_id: Tensor,  # (B,)
    time_scaling: bool = True,
    min_keep: int | None = None,
    keep_uniform: Tensor | None = None,  # (B,)
    learnability: Learnability = "hard",
) -> OneForwardBatch:
    """Mask at rate t + rho and leave the choice of learnable tokens to `lift_kernels.lift_cross_entropy`.

    One forward instead of two, at the price that rejected tokens stay masked. Rows whose order is MIDDLE need no
    scores: there the rejected tokens are put back, as in `lift_batch`, and the loss keeps all that is still masked.
    With learnability "soft" every masked token is trained, so all rows stay masked at t + rho.
    """
    corrupted = corrupt_tokens(
        clean_ids, timestep + rho, mask_token_id=mask_token_id, seed=seed, maskable=maskable, row_ids=example_id
    )
    is_masked = corrupted.is_masked
    num_keep = num_to_keep(is_masked.sum(1), timestep, rho, order, min_keep=min_keep, uniform=keep_uniform)
    if learnability == "hard":
        any_order = torch.full_like(order, MIDDLE)
        no_score = torch.zeros_like(timestep)[:, None].expand(clean_ids.shape)
        subset = select_tokens(no_score, is_masked, num_keep, any_order, seed=seed, row_ids=example_id)
        is_masked = torch.where((order == MIDDLE)[:, None], subset, is_masked)
    batch = denoising_batch(
        clean_ids, is_masked, maskable, timestep, mask_token_id=mask_token_id, time_scaling=time_scaling
    )
    return OneForwardBatch(batch, num_keep, order)
