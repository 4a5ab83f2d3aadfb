"""A second view of each row with a random mask that masks what the first one shows."""

from __future__ import annotations

import torch
from torch import Tensor

from lift.objectives.batch import DenoisingBatch, denoising_batch
from lift.objectives.methods import MIDDLE

LOWEST_TIME = 1e-3


def maskable_of_views(maskable: Tensor, order: Tensor | None = None) -> Tensor:
    """Return `maskable` (B, L) bool followed by that of the second views (2B, L).

    Given `order`, rows of the mode MIDDLE alone have one.
    """
    return torch.cat([maskable, maskable if order is None else maskable & (order == MIDDLE)[:, None]])


def complementary_batch(
    first: DenoisingBatch,
    clean_ids: Tensor,  # (B, L)
    maskable: Tensor,  # (B, L) bool
    timestep: Tensor,  # (B,)
    *,
    mask_token_id: int,
    order: Tensor | None = None,  # (B,)
    time_scaling: bool = True,
    published: bool = False,
) -> DenoisingBatch:
    """Return `first` followed by the second view of its rows, 2B rows in all.

    The second view masks and trains every maskable token that `first` does not train, with weight
    1 / max(1 - t, 1e-3). Both views' maskable tokens count in the denominator. Given `order`, rows of another mode than
    MIDDLE have a second view without mask tokens, which counts nothing.

    `published=True` is the published code's: the denominator counts the tokens of the first view alone, which about
    doubles the loss, and 1 - t is formed in float32 whatever the dtype of t.
    """
    wants_second = maskable_of_views(maskable, order)[len(maskable) :]
    time = timestep.float() if published else timestep
    second = denoising_batch(
        clean_ids,
        wants_second & (first.labels == -100),
        wants_second,
        (1 - time).clamp(min=LOWEST_TIME).to(timestep.dtype),
        mask_token_id=mask_token_id,
        time_scaling=time_scaling,
    )
    num_maskable = maskable.sum() if published else maskable.sum() + wants_second.sum()
    return DenoisingBatch(
        torch.cat([first.input_ids, second.input_ids]),
        torch.cat([first.labels, second.labels]),
        torch.cat([first.token_weight, second.token_weight]),
        num_maskable.clamp(min=1).to(first.denominator.dtype),
    )
