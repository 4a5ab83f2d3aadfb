"""What each method trains on: which masked tokens, and with which weight. Pure functions of tensors.

    sft     masks at rate t and trains every masked token.
    lift2   masks at rate t + rho, keeps the easiest share t / (t + rho) when t >= 1/2, else the hardest.
    lift3   the same in three bands: hardest below 1/3, a random subset up to 2/3, easiest above.

All weight the cross-entropy of a trained token by 1/t and divide by the number of tokens that could have been masked.
Tokens that are not kept get their true token back.

Source: LIFT (arXiv 2605.22939) and its published code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lift_kernels import corrupt_tokens, select_tokens

METHODS = ("sft", "lift2", "lift3")
MODE_POLICIES = ("time", "random")
EASY, MIDDLE, HARD = 1, 0, -1  # `order` of lift_kernels.select_tokens
MODES = {"easy": EASY, "middle": MIDDLE, "hard": HARD}
_MIN_KEPT_SHARE = 1e-3

ScoreFunction = Callable[[Tensor, Tensor, Tensor], Tensor]


class DenoisingBatch(NamedTuple):
    """The input and the loss terms of one training forward."""

    input_ids: Tensor  # (B, L) int64, with mask tokens
    labels: Tensor  # (B, L) int64, the clean token where it is trained, else -100
    token_weight: Tensor  # (B, L) float32
    denominator: Tensor  # 0-d float32, the number of tokens that could have been masked, at least 1


def choose_order(timestep: Tensor, method: str) -> Tensor:
    """Return the mode of each row (B,) int64 from its time: EASY, MIDDLE or HARD.

    The mode with the largest weight wins, of 3 t (1 - t) (middle, lift3 only), t (easy) and 1 - t (hard), divided by
    their sum and compared in float32, the first in this order on a tie.
    """
    t = timestep.double()
    modes, weights = [EASY, HARD], [t, 1 - t]
    if method == "lift3":
        modes, weights = [MIDDLE, *modes], [3 * t * (1 - t), *weights]
    stacked = torch.stack(weights)  # (modes, B)
    best = (stacked / stacked.sum(0)).float().argmax(0)
    return torch.tensor(modes, device=timestep.device)[best]


def draw_order(words: Tensor, method: str) -> Tensor:
    """Return a uniformly drawn mode for each row (B,) int64 from its random word in [0, 2^32)."""
    modes = torch.tensor([MIDDLE, EASY, HARD] if method == "lift3" else [EASY, HARD], device=words.device)
    return modes[(words * len(modes)) >> 32]


def num_to_keep(num_masked: Tensor, timestep: Tensor, rho: Tensor, order: Tensor) -> Tensor:
    """Return how many of its masked tokens each row keeps (B,) int64: the share t / (t + rho), half to even.

    At least one where the mode is MIDDLE and anything is masked; 0 is possible in the other modes.
    """
    share = (timestep / (timestep + rho).clamp(min=_MIN_KEPT_SHARE)).clamp(_MIN_KEPT_SHARE, 1)
    num_keep = torch.round(num_masked.to(share.dtype) * share).long()
    return torch.where(order == MIDDLE, torch.minimum(num_keep.clamp(min=1), num_masked), num_keep)


def sft_batch(
    clean_ids: Tensor,  # (B, L)
    maskable: Tensor,  # (B, L) bool
    timestep: Tensor,  # (B,)
    *,
    mask_token_id: int,
    seed: int,
    example_id: Tensor,  # (B,)
) -> DenoisingBatch:
    """Mask at rate t and train every masked token with weight 1/t."""
    corrupted = corrupt_tokens(
        clean_ids, timestep, mask_token_id=mask_token_id, seed=seed, maskable=maskable, row_ids=example_id
    )
    return denoising_batch(clean_ids, corrupted.is_masked, maskable, timestep, mask_token_id=mask_token_id)


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
) -> DenoisingBatch:
    """Mask at rate t + rho, keep the tokens that are learnable now, and put the others back.

    `score(input_ids, labels, order)` returns the log-probability (B, L) of each masked token, without gradient; rows
    whose order is MIDDLE are kept at random and need none.
    """
    corrupted = corrupt_tokens(
        clean_ids, timestep + rho, mask_token_id=mask_token_id, seed=seed, maskable=maskable, row_ids=example_id
    )
    is_masked = corrupted.is_masked
    log_prob = score(corrupted.input_ids, clean_ids.where(is_masked, -100), order)
    num_keep = num_to_keep(is_masked.sum(1), timestep, rho, order)
    is_kept = select_tokens(log_prob, is_masked, num_keep, order, seed=seed, row_ids=example_id)
    return denoising_batch(
        clean_ids, is_kept, maskable, timestep, mask_token_id=mask_token_id, time_scaling=time_scaling
    )


def denoising_batch(
    clean_ids: Tensor,
    is_trained: Tensor,  # (B, L) bool
    maskable: Tensor,
    timestep: Tensor,
    *,
    mask_token_id: int,
    time_scaling: bool = True,
) -> DenoisingBatch:
    """Mask exactly the trained tokens and weight each by 1/t (by 1 without `time_scaling`)."""
    weight = 1 / timestep if time_scaling else torch.ones_like(timestep)
    return DenoisingBatch(
        input_ids=clean_ids.masked_fill(is_trained, mask_token_id),
        labels=clean_ids.where(is_trained, -100),
        token_weight=weight[:, None].expand(clean_ids.shape),
        denominator=maskable.sum().clamp(min=1).to(weight.dtype),
    )
