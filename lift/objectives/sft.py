"""Plain SFT: train every masked token."""

from __future__ import annotations

from torch import Tensor

from lift.objectives.batch import DenoisingBatch, denoising_batch
from lift.objectives.complementary import complementary_batch, maskable_of_views
from lift.objectives.micro_batch import MicroBatch, TrainingBatch
from lift_kernels import corrupt_tokens


def build(rows: MicroBatch) -> TrainingBatch:
    """Make the training batch of `sft`."""
    options, timestep = rows.options, rows.draws.timestep
    batch = sft_batch(rows.clean_ids, rows.maskable, timestep, time_scaling=options.time_scaling, **rows.mask_draw)
    maskable = rows.maskable
    if options.complementary:
        batch = complementary_batch(
            batch, rows.clean_ids, maskable, timestep, mask_token_id=rows.mask_token_id,
            time_scaling=options.time_scaling,
        )  # fmt: skip
        maskable = maskable_of_views(maskable)
    return TrainingBatch(batch, maskable, rows.draws)


def sft_batch(
    clean_ids: Tensor,  # (B, L)
    maskable: Tensor,  # (B, L) bool
    timestep: Tensor,  # (B,)
    *,
    mask_token_id: int,
    seed: int,
    example_id: Tensor,  # (B,)
    time_scaling: bool = True,
) -> DenoisingBatch:
    """Mask at rate t and train every masked token with weight 1/t, or 1 without `time_scaling`."""
    corrupted = corrupt_tokens(
        clean_ids, timestep, mask_token_id=mask_token_id, seed=seed, maskable=maskable, row_ids=example_id
    )
    return denoising_batch(
        clean_ids, corrupted.is_masked, maskable, timestep, mask_token_id=mask_token_id, time_scaling=time_scaling
    )
