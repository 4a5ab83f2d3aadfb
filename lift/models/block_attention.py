"""Noisy and clean tokens side by side in one forward: what each sees, and where it stands.

A block diffusion model is trained on all blocks of a row at once. The input is the noisy row and, behind it, the clean
one; each noisy block sees itself and the clean blocks before it, as it will when text is generated block by block.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from lift.errors import LiftError
from lift.models.canvas import canvas_behind
from lift.objectives.blocks import Blocks
from lift_kernels.models import ModelFamily, Uncast


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


def in_blocks(family: ModelFamily | None, forward: Callable[..., Any], clean_ids: Tensor) -> Callable[..., Any]:
    """Return a patched `forward` that takes noisy rows and sees the clean ones too, as models of `family` do.

    Args: see `beside_clean`.
    """
    takes_canvas = family is not None and family.takes_canvas
    return (canvas_behind if takes_canvas else beside_clean)(forward, clean_ids)


def beside_clean(forward: Callable[..., Any], clean_ids: Tensor) -> Callable[..., Any]:
    """Return a patched `forward` that takes noisy rows (B, L) and runs them with the clean ones behind them.

    Labels, weights and results are those of the noisy half; the clean half has no labels, and so costs no head work.
    What else it is given, attention mask and positions above all, is of both halves.

    Args:
        forward: of a patched model.
        clean_ids: (B, L) int64, or (B / n, L) of n views.
    """

    def run(
        *, input_ids: Tensor, labels: Tensor, token_weight: Uncast | None = None, lift: Uncast | None = None,
        **arguments: Any,
    ) -> Any:  # fmt: skip
        length = input_ids.shape[1]
        clean = clean_ids.repeat(input_ids.shape[0] // clean_ids.shape[0], 1)
        if token_weight is not None:
            arguments["token_weight"] = Uncast(pad(token_weight.value, (0, length)))
        if lift is not None:
            index = lift.value.parts
            row = index.div(length, rounding_mode="floor").clamp(min=0)
            arguments["lift"] = Uncast(lift.value._replace(parts=index + row * length))
        outputs = forward(
            input_ids=torch.cat([input_ids, clean], 1), labels=pad(labels, (0, length), value=-100), **arguments
        )
        if outputs.tokens is not None:
            stats, learnability = outputs.tokens.value
            outputs.tokens = Uncast((
                None if stats is None else stats._make(values[:, :length] for values in stats),
                None if learnability is None else learnability[:, :length],
            ))  # fmt: skip
        return outputs

    return run


def flex_mask(pairs: Tensor) -> Any:
    """Return `pairs` (B, 1, queries, keys) bool as the block mask that flex attention takes. Not measured on a GPU.

    Raises:
        LiftError: on a CPU, where flex attention has no backward pass.
    """
    if pairs.device.type != "cuda":
        raise LiftError("flex attention trains on CUDA only: load the model with attn_implementation='sdpa'.")
    from torch.nn.attention.flex_attention import create_block_mask

    rows, _, queries, keys = pairs.shape
    return create_block_mask(
        lambda row, _head, query, key: pairs[row, 0, query, key], rows, None, queries, keys, device=str(pairs.device)
    )
