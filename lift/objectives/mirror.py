"""MIRROR: two masks of each row at one time, the second the mirror image of the first."""

from __future__ import annotations

import torch
from torch import Tensor

from lift.objectives.batch import DenoisingBatch, denoising_batch
from lift.objectives.complementary import maskable_of_views
from lift.objectives.micro_batch import MicroBatch, TrainingBatch
from lift_kernels.philox import CORRUPT_STREAM, random_words, uniforms

_LARGEST_UNIFORM = 1 - 2.0**-24


def build(rows: MicroBatch) -> TrainingBatch:
    """Make the training batch of `mirror`."""
    options = rows.options
    batch = mirror_batch(
        rows.clean_ids, rows.maskable, rows.draws.timestep, time_scaling=options.time_scaling, **rows.mask_draw
    )
    return TrainingBatch(batch, maskable_of_views(rows.maskable), rows.draws)


def mirror_batch(
    clean_ids: Tensor,  # (B, L)
    maskable: Tensor,  # (B, L) bool
    timestep: Tensor,  # (B,)
    *,
    mask_token_id: int,
    seed: int,
    example_id: Tensor,  # (B,)
    time_scaling: bool = True,
) -> DenoisingBatch:
    """Mask at rate t twice, and train every masked token of both views (2B, L) with weight 1/t.

    A token is masked in the first view iff its uniform draw U < t, as in `sft_batch`, and in the second iff
    1 - U < t (less 2^-24, so that both draws have one law). Below t = 1/2 the views mask different tokens: their losses
    are negatively correlated, and the mean of the two varies less than that of two independent masks. Both views'
    maskable tokens count in the denominator, which makes the loss that mean.

    Source: MIRROR of StableDLLM (ICLR 2026), mirrored as in its paper; its published code draws the two independently.
    """
    first = uniforms(random_words(seed, example_id, clean_ids.shape[1], CORRUPT_STREAM))
    draws, maskable = torch.cat([first, _LARGEST_UNIFORM - first]), maskable_of_views(maskable)
    timestep = timestep.repeat(2)
    return denoising_batch(
        clean_ids.repeat(2, 1), maskable & (draws < timestep.float()[:, None]), maskable, timestep,
        mask_token_id=mask_token_id, time_scaling=time_scaling,
    )  # fmt: skip
