"""CART: a masked token counts by how much visible context stands near it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lift.objectives.batch import DenoisingBatch, denoising_batch
from lift.objectives.complementary import complementary_batch, maskable_of_views
from lift.objectives.micro_batch import MicroBatch, TrainingBatch
from lift_kernels import corrupt_tokens


def build(rows: MicroBatch) -> TrainingBatch:
    """Make the training batch of `cart`."""
    complementary = rows.options.complementary
    batch = cart_batch(
        rows.clean_ids, rows.maskable, rows.draws.timestep, p=rows.options.cart_p, attention_mask=rows.attention_mask,
        num_before=None if rows.blocks is None else rows.blocks.num_before(), complementary=complementary,
        **rows.mask_draw,
    )  # fmt: skip
    maskable = maskable_of_views(rows.maskable) if complementary else rows.maskable
    return TrainingBatch(batch, maskable, rows.draws)


def cart_batch(
    clean_ids: Tensor,  # (B, L)
    maskable: Tensor,  # (B, L) bool
    timestep: Tensor,  # (B,)
    *,
    mask_token_id: int,
    seed: int,
    example_id: Tensor,  # (B,)
    p: float = 0.1,
    attention_mask: Tensor | None = None,  # (B, L)
    num_before: Tensor | None = None,  # (B,)
    complementary: bool = False,
) -> DenoisingBatch:
    """Mask at rate t and train every masked token with weight w / t, w from `cart_weights`.

    Every token that is not masked is context, prompt and padding included; given `attention_mask`, only where that is
    not 0. `num_before` visible tokens stand directly before each row: those of earlier blocks. `complementary` adds
    a second view, see `complementary_batch`, with the weights of its own context.
    """
    corrupted = corrupt_tokens(
        clean_ids, timestep, mask_token_id=mask_token_id, seed=seed, maskable=maskable, row_ids=example_id
    )
    batch = denoising_batch(clean_ids, corrupted.is_masked, maskable, timestep, mask_token_id=mask_token_id)
    if complementary:
        batch = complementary_batch(batch, clean_ids, maskable, timestep, mask_token_id=mask_token_id)
    is_visible = batch.labels == -100
    views = len(is_visible) // max(len(clean_ids), 1)
    if attention_mask is not None:
        is_visible &= (attention_mask != 0).repeat(views, 1)
    before = None if num_before is None else num_before.repeat(views)
    weight = cart_weights(is_visible, p, num_before=before, dtype=timestep.dtype)
    return batch._replace(token_weight=batch.token_weight * weight)


def cart_weights(
    is_visible: Tensor, p: float = 0.1, *, num_before: Tensor | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return w (B, L) with w_i = sum of 0.5 p (1 - p)^(|i - j| - 1) over the visible positions j != i of the row.

    The sums over each side are exponential filters. A row is cut into about sqrt(L) blocks of about sqrt(L) positions:
    one small matrix filters inside the blocks, another carries from block to block, so memory is O(B L). All terms are
    positive and no power has a negative exponent: nothing cancels or overflows. It computes in float64.

    Args:
        is_visible: (B, L) bool, the context.
        p: in (0, 1); the larger, the nearer a token must be to count.
        num_before: (B,) int64, visible positions directly before the row that count too; by default none.
        dtype: of the result.

    Raises:
        ValueError: p is outside (0, 1).

    Source: the published code of LIFT (arXiv 2605.22939), which builds the (L, L) matrix, in float32.
    """
    if not 0 < p < 1:
        raise ValueError(f"p must lie between 0 and 1, both excluded, got {p}.")
    visible = is_visible.double()
    both_sides = _sum_of_earlier(visible, 1 - p) + _sum_of_earlier(visible.flip(1), 1 - p).flip(1)
    if num_before is not None:  # the geometric series of (1 - p)^(i + n) over n in 0 .. num_before - 1
        series = (1 - (1 - p) ** num_before.double()) / p
        position = torch.arange(visible.shape[1], dtype=visible.dtype, device=visible.device)
        both_sides += series[:, None] * (1 - p) ** position
    return (0.5 * p * both_sides).to(dtype)


def _sum_of_earlier(values: Tensor, decay: float) -> Tensor:
    """sum over j < i of decay^(i - j - 1) values_j, for (B, L) -> (B, L)."""
    num_rows, length = values.shape
    size = math.isqrt(max(length - 1, 0)) + 1
    num_blocks = -(-length // size)
    blocks = torch.nn.functional.pad(values, (0, num_blocks * size - length)).view(num_rows, num_blocks, size)

    inside = blocks @ _earlier_powers(decay, size, values).T
    steps = torch.arange(size, dtype=values.dtype, device=values.device)
    of_block = blocks @ (decay ** steps.flip(0))  # (B, blocks): what a block hands to the position after its end
    carried = of_block @ _earlier_powers(decay**size, num_blocks, values).T
    return (inside + carried[..., None] * decay**steps).view(num_rows, -1)[:, :length]


def _earlier_powers(base: float, size: int, like: Tensor) -> Tensor:
    """base^(i - j - 1) where j < i, else 0: (size, size)."""
    index = torch.arange(size, dtype=like.dtype, device=like.device)
    exponent = index[:, None] - index - 1
    return torch.where(exponent >= 0, base ** exponent.clamp(min=0), 0)
