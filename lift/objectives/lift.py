"""LIFT: mask more than is to be learned, and learn the tokens that are learnable at this time."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lift.objectives import one_forward
from lift.objectives.batch import DenoisingBatch, ScoreFunction, denoising_batch
from lift.objectives.complementary import complementary_batch, maskable_of_views
from lift.objectives.methods import METHODS, MIDDLE
from lift.objectives.micro_batch import MicroBatch, TrainingBatch
from lift.objectives.modes import num_to_keep
from lift.objectives.published import select_unordered
from lift_kernels import corrupt_tokens, select_tokens


class LiftBatch(NamedTuple):
    """What is trained, and what was known when it was chosen."""

    batch: DenoisingBatch
    is_masked: Tensor  # (B, L) bool, at rate t + rho: what was chosen from
    log_prob: Tensor  # (B, L), the scores that it was chosen by
    num_keep: Tensor  # (B,) int64


def build(rows: MicroBatch) -> TrainingBatch:
    """Make the training batch of `lift2`, `lift3`, or one mode at every t."""
    options, draws = rows.options, rows.draws
    if options.one_forward:
        return one_forward.build(rows)
    assert draws.rho is not None and draws.order is not None
    taken = lift_batch(
        rows.clean_ids, rows.maskable, draws.timestep, draws.rho, draws.order, rows.score,
        time_scaling=options.time_scaling, min_keep=options.min_keep, keep_uniform=rows.keep_uniform, **rows.mask_draw,
    )  # fmt: skip
    batch, maskable = taken.batch, rows.maskable
    if options.middle_select == "unordered":
        batch = _with_unordered_middle(taken, rows, draws.order)
    rejected = taken.is_masked & (batch.labels == -100) & (draws.order != MIDDLE)[:, None]
    if options.complementary:
        batch = complementary_batch(
            batch, rows.clean_ids, rows.maskable, draws.timestep, order=draws.order, mask_token_id=rows.mask_token_id,
            time_scaling=options.time_scaling, published=options.reference_quirks,
        )  # fmt: skip
        maskable = maskable_of_views(rows.maskable, draws.order)
    log_prob = None if METHODS[options.method].ranks_by_margin else taken.log_prob
    return TrainingBatch(batch, maskable, draws, rejected, log_prob)


def lift_batch(
    clean_ids: Tensor,  # (B, L)
    maskable: Tensor,  # (B, L) bool
    timestep: Tensor,  # (B,)
    rho: Tensor,  # (B,)
    order: Tensor,  # (B,)
    score: ScoreFunction,
    *,
    mask_token_id: int,
    seed: int,
    example_id: Tensor,  # (B,)
    time_scaling: bool = True,
    min_keep: int | None = None,
    keep_uniform: Tensor | None = None,  # (B,)
) -> LiftBatch:
    """Mask at rate t + rho, keep the tokens that are learnable now, and put the others back.

    `score(input_ids, labels, order)` returns the log-probability (B, L) of each masked token, without gradient; rows
    whose order is MIDDLE are kept at random and need none. `min_keep` and `keep_uniform`: see `num_to_keep`.
    `example_id` names a row in its random draws, so that they do not depend on the batch it is in; `seed` is the
    step's.

    Example, of a model that `apply_lift_kernels` patched:
        >>> seed = step_seed(42, step)
        >>> u, v = draw_uniforms(seed, example_id)
        >>> t, rho = diffusion_time(u), overmask_rate(u, v)
        >>> def score(input_ids, labels, order):
        ...     with torch.no_grad():
        ...         return model(input_ids=input_ids, labels=labels, return_token_stats=True).token_stats.log_prob
        >>> names = {"mask_token_id": mask_token_id, "seed": seed, "example_id": example_id}
        >>> taken = lift_batch(clean_ids, is_response, t, rho, choose_order(t, "lift3"), score, **names)
        >>> model(**taken.batch._asdict()).loss.backward()

    Source: LIFT (arXiv 2605.22939).
    """
    corrupted = corrupt_tokens(
        clean_ids, timestep + rho, mask_token_id=mask_token_id, seed=seed, maskable=maskable, row_ids=example_id
    )
    is_masked = corrupted.is_masked
    log_prob = score(corrupted.input_ids, clean_ids.where(is_masked, -100), order)
    num_keep = num_to_keep(is_masked.sum(1), timestep, rho, order, min_keep=min_keep, uniform=keep_uniform)
    # Of a model that diverged, whose loss then says so: what has no score comes last, as on an accelerator.
    ranked = torch.where(log_prob.isnan(), -torch.inf * order[:, None], log_prob)
    is_kept = select_tokens(ranked, is_masked, num_keep, order, seed=seed, row_ids=example_id)
    batch = denoising_batch(
        clean_ids, is_kept, maskable, timestep, mask_token_id=mask_token_id, time_scaling=time_scaling
    )
    return LiftBatch(batch, is_masked, log_prob, num_keep)


def _with_unordered_middle(taken: LiftBatch, rows: MicroBatch, order: Tensor) -> DenoisingBatch:
    """Select in middle rows as the published code does: from the largest of random scores, in no order."""
    draws = torch.rand(rows.clean_ids.shape, device=rows.clean_ids.device).masked_fill(~taken.is_masked, -1.0)
    largest = draws.topk(int(taken.num_keep.max()), sorted=False).indices
    subset = select_unordered(largest, taken.is_masked, taken.num_keep)
    is_kept = torch.where((order == MIDDLE)[:, None], subset, taken.batch.labels != -100)
    return denoising_batch(
        rows.clean_ids, is_kept, rows.maskable, rows.draws.timestep, mask_token_id=rows.mask_token_id,
        time_scaling=rows.options.time_scaling,
    )  # fmt: skip
