"""Noisy and clean tokens side by side in one forward: what each sees, and where it stands.

A block diffusion model is trained on all blocks of a row at once. The input is the noisy row and, behind it, the clean
one; each noisy block sees itself and the clean blocks before it, as it will when text is generated block by block.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lift.objectives.blocks import Blocks


def noisy_and_clean_pairs(blocks: Blocks, is_token: Tensor | None = None) -> Tensor:
    """Return which of the 2 L positions, noisy ones first, see which: (B, 1, 2 L, 2 L) bool, a query's row its keys.

        noisy q, noisy k    the same block
        noisy q, clean k    an earlier block of k
        clean q, clean k    the same block, or an earlier one of k
        clean q, noisy k    never

    and both in one document. Every position sees itself, so that no row of the softmax is empty.

    Args:
        blocks: of the rows.
        is_token: (B, L), 0 on padding that no other position is to see; None where all is seen.

    Source: Arriola et al., "Block diffusion" (arXiv 2503.09573), section 3.3, and its published code.
    """
    block, document = blocks.number, blocks.document
    is_same_document = document[:, :, None] == document[:, None, :]
    is_same = (block[:, :, None] == block[:, None, :]) & is_same_document
    is_before = (block[:, :, None] > block[:, None, :]) & is_same_document
    never = torch.zeros_like(is_same)
    pairs = torch.cat([torch.cat([is_same, is_before], 2), torch.cat([never, is_same | is_before], 2)], 1)
    if is_token is not None:
        itself = torch.eye(pairs.shape[1], dtype=torch.bool, device=pairs.device)
        pairs &= is_token.bool().repeat(1, 2)[:, None, :] | itself
    return pairs[:, None]
