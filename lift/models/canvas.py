"""Blocks of a model whose noisy tokens are a canvas behind a text that is encoded apart, as in DiffusionGemma.

The clean row goes through the encoder, which reads it from left to right, and the noisy one is a canvas for all its
blocks at once: each sees itself and the encoded tokens before it, as it will when it is the next canvas.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lift.objectives.blocks import Blocks


def canvas_pairs(
    pairs: Tensor, blocks: Blocks, sliding_window: int | None
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return what the encoder's L queries see of L keys, and the canvas's of 2 L, encoded ones first.

    For each kind of layer, (B, 1, L, L) and (B, 1, L, 2 L) bool. A layer with a window sees the text within it, counted
    from the start of the canvas, and all of the canvas: what the model's cache holds when text is generated.

    Args:
        pairs: (B, 1, 2 L, 2 L) bool, of `noisy_and_clean_pairs`.
        blocks: of these rows.
        sliding_window: tokens that a query of the encoder sees, with its own.
    """
    length = pairs.shape[-1] // 2
    column = torch.arange(length, device=pairs.device)
    text = pairs[..., length:, length:] & (column <= column[:, None])
    before, own = pairs[..., :length, length:], pairs[..., :length, :length]
    encoder, canvas = {"full_attention": text}, {"full_attention": torch.cat([before, own], -1)}
    if sliding_window is not None:
        start = (column - blocks.offset)[:, None, :, None]  # of the block of each query
        encoder["sliding_attention"] = text & (column[:, None] - column < sliding_window)
        canvas["sliding_attention"] = torch.cat([before & (start - column < sliding_window), own], -1)
    return encoder, canvas


def canvas_behind(forward: Callable[..., Any], clean_ids: Tensor) -> Callable[..., Any]:
    """Return a patched `forward` that takes noisy rows (B, L) as canvases and encodes the clean ones.

    Args:
        forward: of a patched model.
        clean_ids: (B, L) int64, or (B / n, L) of n views.
    """
    from transformers import DynamicCache

    def run(*, input_ids: Tensor, **arguments: Any) -> Any:
        clean = clean_ids.repeat(input_ids.shape[0] // clean_ids.shape[0], 1)
        # Without a configuration it keeps all tokens of layers with a window, as each block needs others of them.
        return forward(input_ids=clean, decoder_input_ids=input_ids, past_key_values=DynamicCache(), **arguments)

    return run
