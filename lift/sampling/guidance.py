"""Classifier-free guidance: what a model says with the given text, beyond what it says without.

Source: arXiv 2207.12598; for masked diffusion arXiv 2410.18514. The guided logits are z_u + (w + 1)(z_c - z_u).
"""

from __future__ import annotations

import torch
from torch import Tensor

from lift.sampling.heads import Head


def unguided_ids(ids: Tensor, is_given: Tensor, mask_token_id: int) -> Tensor:
    """Return ids (B, T) with the given text masked."""
    return ids.masked_fill(is_given, mask_token_id)


def guide(rows: Tensor, unguided: Tensor, head: Head, scale: float) -> tuple[Tensor, Head]:
    """Return rows and their head, which makes the guided logits.

    A head that is affine in float32 makes them of one row, guided itself; others are applied to both.

    Args:
        rows, unguided: (N, D), with and without the given text.
        head: makes logits of either.
        scale: w.
    """
    if head.is_affine and rows.dtype in (torch.float32, torch.float64):
        return unguided + (scale + 1) * (rows - unguided), head

    def logits(pair: Tensor) -> Tensor:
        with_text, without = (head.logits(half) for half in pair.unbind(1))
        return without + (scale + 1) * (with_text - without)

    return torch.stack([rows, unguided], dim=1), head._replace(logits=logits, plain=None)
