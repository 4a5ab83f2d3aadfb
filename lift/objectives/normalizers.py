"""What the loss of an optimiser step is divided by.

    token        the tokens that could have been masked, in the whole step: every such token counts alike
    sequence     each row's own number of them, then the rows of the step: every row counts alike
    batch        the rows of the step: long rows count more, and the loss grows with their length
    micro_batch  each micro-batch by its own tokens, then the mean over micro-batches: the published code's
    trained      the same with the tokens that are trained, in all views: of LLaDA 2.x's fine-tuning and Fast-dLLM v2

The first three see the step as a whole: all micro-batches of all processes. However a step is split, the gradient is
the same. With the last two it is not, unless all micro-batches have equally many tokens. A number divides by itself.
gift divides by the tokens that it drew, blockwise and puma by the rows with a response, in the whole step, unless it is
micro_batch. The entropy of confidence is a mean over each micro-batch under all five.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lift.objectives.choices import Normalizer
from lift.objectives.methods import METHODS
from lift.objectives.micro_batch import TrainingBatch
from lift.objectives.options import LiftOptions


class StepCounts(NamedTuple):
    """Of all micro-batches of all processes in one optimiser step; 0-d float32 tensors."""

    tokens: Tensor  # that could be masked; of gift those that it drew, of blockwise and puma one a row
    rows: Tensor  # with at least one of those

    @classmethod
    def of(cls, maskables: Sequence[Tensor], reduce: Callable[[Tensor], Tensor]) -> StepCounts:
        """Count the (B, L) bool `maskables` of this process; `reduce` adds the counts (2,) of all processes."""
        tokens = sum(maskable.sum() for maskable in maskables)
        rows = sum(maskable.any(1).sum() for maskable in maskables)
        counts = reduce(torch.stack([torch.as_tensor(tokens), torch.as_tensor(rows)]).to(torch.float32))
        return cls(*counts.unbind())


def normalise(prepared: TrainingBatch, options: LiftOptions, counts: StepCounts, *, share: float) -> TrainingBatch:
    """Return `prepared` with weights and denominator such that the losses of a step's micro-batches add up to its own.

    A method with a denominator of its own divides by that of the whole step, under every normaliser but micro_batch,
    unless `options.loss_denominator` says otherwise.

    Args:
        prepared: one micro-batch.
        options: loss_normalizer and loss_denominator.
        counts: of the whole step.
        share: of this micro-batch in the mean that the trainer takes, 1 / (micro-batches x processes).
    """
    if METHODS[options.method].own_denominator and options.loss_denominator is None:
        return prepared if options.loss_normalizer == "micro_batch" else _of_whole_step(prepared, counts, share)
    batch, row_weight, maskable = prepared.batch, prepared.row_weight, prepared.maskable
    if row_weight is not None and prepared.blocks is not None:
        maskable = maskable[prepared.blocks.row]  # a block counts as part of its row
    weight, denominator = token_weights_and_denominator(
        options.loss_normalizer, options.loss_denominator,
        batch.token_weight if row_weight is None else row_weight[:, None], maskable, counts,
        batch.denominator, share, num_trained=(batch.labels != -100).sum(),
    )  # fmt: skip
    batch = batch._replace(denominator=denominator)
    if prepared.one_forward is None:
        return prepared._replace(batch=batch._replace(token_weight=weight))
    one_forward = prepared.one_forward._replace(time_scaling=False, row_weight=weight[:, 0])
    return prepared._replace(batch=batch, one_forward=one_forward)


def _of_whole_step(prepared: TrainingBatch, counts: StepCounts, share: float) -> TrainingBatch:
    own = prepared.batch.denominator
    # That of gift is nan where the published division by 0 is asked for.
    denominator = (counts.tokens.clamp(min=1) * share).to(own).masked_fill(own.isnan(), torch.nan)
    return prepared._replace(batch=prepared.batch._replace(denominator=denominator))


def token_weights_and_denominator(
    normalizer: Normalizer,
    explicit: float | None,
    token_weight: Tensor,  # (B, L), or (B, 1)
    maskable: Tensor,  # (B, L) bool
    counts: StepCounts,
    own_denominator: Tensor,  # 0-d: what the micro-batch would be divided by on its own
    share: float,
    *,
    num_trained: Tensor,  # 0-d: the tokens that the micro-batch trains
) -> tuple[Tensor, Tensor]:
    """Return weights, shaped as token_weight, and denominator (0-d) of one micro-batch.

    The trainer averages what the micro-batches of all processes give, each `share` of the step; a denominator of the
    whole step is multiplied by it.
    """
    if explicit is not None:
        return token_weight, torch.full_like(own_denominator, explicit * share)
    if normalizer == "micro_batch":
        return token_weight, own_denominator
    if normalizer == "trained":
        return token_weight, num_trained.clamp(min=1).to(own_denominator)
    if normalizer == "token":
        return token_weight, counts.tokens.clamp(min=1) * share
    if normalizer == "sequence":
        token_weight = token_weight / maskable.sum(1, keepdim=True).clamp(min=1)
    return token_weight, counts.rows.clamp(min=1) * share
