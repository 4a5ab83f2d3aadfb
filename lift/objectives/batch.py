"""The input and the loss terms of one training forward."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

# log-probabilities (B, L) of the labels, without gradient: (input_ids (B, L), labels (B, L), order (B,)) -> (B, L)
ScoreFunction = Callable[[Tensor, Tensor, Tensor], Tensor]
# entropies (B, L) in nats of the labels' positions, without gradient: (input_ids (B, L), labels (B, L)) -> (B, L)
EntropyFunction = Callable[[Tensor, Tensor], Tensor]


class DenoisingBatch(NamedTuple):
    """The input and the loss terms of one training forward."""

    input_ids: Tensor  # (B, L) int64, with mask tokens
    labels: Tensor  # (B, L) int64, the clean token where it is trained, else -100
    token_weight: Tensor  # (B, L) in the dtype of the times
    denominator: Tensor  # 0-d in the dtype of the times: the number of tokens that could have been masked, at least 1


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


def first_of_each_row(response: Tensor) -> Tensor:
    """Return the first token (B, L) bool of each row's `response` (B, L) bool: by it rows are counted."""
    return response & (response.cumsum(1) == 1)


def without_first_token(maskable: Tensor) -> Tensor:
    """Return `maskable` (B, L) bool with position 0 protected.

    For models that predict position i from the hidden state of i - 1 (Dream): nothing there predicts position 0. The
    published code masks it and gives it all-zero logits, a constant loss of log V without gradient.
    """
    return maskable & (torch.arange(maskable.shape[1], device=maskable.device) > 0)
