"""Masking tokens at random, on any device torch runs on."""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels.philox import CORRUPT_STREAM, random_words, uniforms


def corrupt_tokens(
    input_ids: Tensor,  # (B, L)
    mask_prob: Tensor,  # (B,) or (B, L)
    maskable: Tensor | None,  # (B, L) bool
    row_ids: Tensor | None,  # (B,)
    mask_token_id: int,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """Return (corrupted ids, is_masked), both (B, L) and new."""
    num_rows, length = input_ids.shape
    if row_ids is None:
        row_ids = torch.arange(num_rows, device=input_ids.device)
    draws = uniforms(random_words(seed, row_ids, length, CORRUPT_STREAM))
    threshold = mask_prob.to(torch.float32)
    is_masked = draws < (threshold[:, None] if threshold.dim() == 1 else threshold)
    if maskable is not None:
        is_masked = is_masked & maskable
    return torch.where(is_masked, mask_token_id, input_ids), is_masked
