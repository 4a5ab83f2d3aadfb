"""Choosing which masked tokens of each row to train, on any device torch runs on."""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels.philox import SELECT_STREAM, random_words


def select_tokens(
    score: Tensor,  # (B, L) floating
    is_masked: Tensor,  # (B, L) bool
    num_keep: Tensor,  # (B,)
    order: Tensor,  # (B,)
    seed: int | None,  # None: no row is random
    row_ids: Tensor | None,  # (B,)
) -> Tensor:
    """Return is_kept (B, L) bool: the first `num_keep` masked positions of each row by rising key."""
    key = _rising_key(score, order, seed, row_ids)
    positions = key.argsort(dim=-1, stable=True)
    # Only masked positions count towards a rank: whatever its score, an unmasked one takes no place.
    is_candidate = is_masked.gather(-1, positions)
    is_kept = is_candidate & (is_candidate.cumsum(-1) <= num_keep[:, None])
    return torch.empty_like(is_kept).scatter_(-1, positions, is_kept)


def _rising_key(score: Tensor, order: Tensor, seed: int | None, row_ids: Tensor | None) -> Tensor:
    score = score.to(torch.float64)  # holds every score and every 32-bit word exactly
    key = torch.where((order < 0)[:, None], score, -score)
    # One NaN, so that its sign cannot place it first, and one zero: a radix sort tells -0.0 from 0.0.
    key = key.masked_fill(key.isnan(), torch.nan) + 0.0
    if seed is None:
        return key
    num_rows, length = score.shape
    if row_ids is None:
        row_ids = torch.arange(num_rows, device=score.device)
    words = random_words(seed, row_ids, length, SELECT_STREAM)
    return torch.where((order == 0)[:, None], -words.to(torch.float64), key)
