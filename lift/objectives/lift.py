"""LIFT: mask more than is to be learned, and learn the tokens that are learnable at this time."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lift.objectives.batch import DenoisingBatch, denoising_batch
from lift.objectives.modes import MIDDLE, num_to_keep
from lift_kernels import corrupt_tokens, select_tokens

# log-probabilities (B, L) of the labels, without gradient: (input_ids (B, L), labels (B, L), order (B,)) -> (B, L)
ScoreFunction = Callable[[Tensor, Tensor, Tensor], Tensor]


class OneForwardBatch(NamedTuple):
    """What `lift_kernels.lift_cross_entropy` takes, besides the times."""

    batch: DenoisingBatch  # labels and token_weight cover every masked token, kept or not
    num_keep: Tensor  # (B,) int64
    order: Tensor  # (B,) int64


def lift_batch(
    clean_ids: Tensor,  # (B, L)
    maskable: Tensor,  # (B, L) bool
    timestep: Tensor,  # (B,)
    rho: Tensor,  # (B,)
    order: Tensor,  # (B,)
    score: ScoreFunction,
    *,
    mask_token_id: int,
    seed: int,
    example_id: Tensor,  # (B,)
    time_scaling: bool = True,
    min_keep: int | None = None,
) -> DenoisingBatch:
    """Mask at rate t + rho, keep the tokens that are learnable now, and put the others back.

    `score(input_ids, labels, order)` returns the log-probability (B, L) of each masked token, without gradient; rows
    whose order is MIDDLE are kept at random and need none. `min_keep`: see `num_to_keep`.
    """
    corrupted = corrupt_tokens(
        clean_ids, timestep + rho, mask_token_id=mask_token_id, seed=seed, maskable=maskable, row_ids=example_id
    )
    is_masked = corrupted.is_masked
    log_prob = score(corrupted.input_ids, clean_ids.where(is_masked, -100), order)
    num_keep = num_to_keep(is_masked.sum(1), timestep, rho, order, min_keep=min_keep)
    is_kept = select_tokens(log_prob, is_masked, num_keep, order, seed=seed, row_ids=example_id)
    return denoising_batch(
        clean_ids, is_kept, maskable, timestep, mask_token_id=mask_token_id, time_scaling=time_scaling
    )


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
    learnability: str = "hard",
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
    num_keep = num_to_keep(is_masked.sum(1), timestep, rho, order, min_keep=min_keep)
    if learnability == "hard":
        any_order = torch.full_like(order, MIDDLE)
        no_score = torch.zeros_like(timestep)[:, None].expand(clean_ids.shape)
        subset = select_tokens(no_score, is_masked, num_keep, any_order, seed=seed, row_ids=example_id)
        is_masked = torch.where((order == MIDDLE)[:, None], subset, is_masked)
    batch = denoising_batch(
        clean_ids, is_masked, maskable, timestep, mask_token_id=mask_token_id, time_scaling=time_scaling
    )
    return OneForwardBatch(batch, num_keep, order)
