"""Learnability as a weight of every masked token instead of a choice among them."""

from __future__ import annotations

import torch
from torch import Tensor


def soft_learnability(
    score: Tensor,  # (B, L) log-probabilities of the clean tokens
    is_masked: Tensor,  # (B, L) bool
    num_keep: Tensor,  # (B,)
    timestep: Tensor,  # (B,) in the dtype of score
    temperature: float,
) -> Tensor:
    """Return num_keep * softmax((2 t - 1) z / temperature) over each row's masked tokens, 0 elsewhere: (B, L)."""
    count = is_masked.sum(-1, keepdim=True).clamp(min=1)
    centred = (score - score.where(is_masked, 0).sum(-1, keepdim=True) / count).where(is_masked, 0)
    deviation = (centred.square().sum(-1, keepdim=True) / count).sqrt()
    standardised = torch.where(deviation > 0, centred / deviation, 0)
    exponent = (2 * timestep[:, None] - 1) * standardised / temperature
    softmax = exponent.masked_fill(~is_masked, -torch.inf).softmax(-1)
    return (num_keep[:, None] * softmax).where(is_masked, 0)  # a row without masked tokens has a softmax of nan
