"""Blockwise SFT: train one block of the answer, behind a clean prefix and before masks alone."""

from __future__ import annotations

from torch import Tensor

from lift.objectives.batch import DenoisingBatch, first_of_each_row
from lift.objectives.forward_process import draw_block_words
from lift.objectives.micro_batch import MicroBatch, TrainingBatch
from lift_kernels import corrupt_tokens


def build(rows: MicroBatch) -> TrainingBatch:
    """Make the training batch of `blockwise`, whose `maskable` is one token for each row that has a response."""
    response = rows.maskable & ~rows.is_padding
    batch = blockwise_batch(
        rows.clean_ids, response, rows.draws.timestep, block_size=rows.options.answer_block, **rows.mask_draw
    )
    return TrainingBatch(batch, first_of_each_row(response), rows.draws)


def blockwise_batch(
    clean_ids: Tensor,  # (B, L)
    response: Tensor,  # (B, L) bool
    timestep: Tensor,  # (B,)
    *,
    block_size: int,
    mask_token_id: int,
    seed: int,
    example_id: Tensor,  # (B,)
) -> DenoisingBatch:
    """Mask one block of each response at rate t and train it, with all of the response behind it masked.

    The response is cut into blocks of `block_size` tokens from its start, the last of which may be short, and one of
    them is drawn, each as likely. What lies before it stays clean; what lies behind it is masked and not trained, as it
    is while text is generated block by block. `response` leaves out the prompt and padding, which stay as they are.

    A masked token of the block has the weight 1 / (number masked there), so that the loss is the mean over the rows
    that have a response of the mean over their masked tokens.

    Source: Blockwise SFT (arXiv 2508.19529) and its published code, which goes through an example's blocks in turn.
    """
    place = response.cumsum(1) - 1  # of a token in its response
    num_blocks = (response.sum(1) + block_size - 1).div(block_size, rounding_mode="floor")
    chosen = (draw_block_words(seed, example_id) * num_blocks) >> 32
    block = place.div(block_size, rounding_mode="floor")
    is_active = response & (block == chosen[:, None])
    is_behind = response & (block > chosen[:, None])
    is_trained = corrupt_tokens(
        clean_ids, timestep, mask_token_id=mask_token_id, seed=seed, maskable=is_active, row_ids=example_id
    ).is_masked
    weight = 1 / is_trained.sum(1).clamp(min=1).to(timestep.dtype)
    return DenoisingBatch(
        input_ids=clean_ids.masked_fill(is_trained | is_behind, mask_token_id),
        labels=clean_ids.where(is_trained, -100),
        token_weight=weight[:, None].expand(clean_ids.shape),
        denominator=response.any(1).sum().clamp(min=1).to(timestep.dtype),
    )
