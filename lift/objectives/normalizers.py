"""What the loss of an optimiser step is divided by.

    token        the tokens that could have been masked, in the whole step: every such token counts alike
    sequence     each row's own number of them, then the rows of the step: every row counts alike
    batch        the rows of the step: long rows count more, and the loss grows with their length
    micro_batch  each micro-batch by its own tokens, then the mean over micro-batches: the published code's

The first three see the step as a whole: all micro-batches of all processes. However a step is split, the gradient is
the same. With micro_batch it is not, unless all micro-batches have equally many tokens. A number divides by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lift.objectives.choices import Normalizer


class StepCounts(NamedTuple):
    """Of all micro-batches of all processes in one optimiser step; 0-d float32 tensors."""

    tokens: Tensor  # that could be masked
    rows: Tensor  # with at least one of those

    @classmethod
    def of(cls, maskables: Sequence[Tensor], reduce: Callable[[Tensor], Tensor]) -> StepCounts:
        """Count the (B, L) bool `maskables` of this process; `reduce` adds the counts (2,) of all processes."""
        tokens = sum(maskable.sum() for maskable in maskables)
        rows = sum(maskable.any(1).sum() for maskable in maskables)
        counts = reduce(torch.stack([torch.as_tensor(tokens), torch.as_tensor(rows)]).to(torch.float32))
        return cls(*counts.unbind())


def token_weights_and_denominator(
    normalizer: Normalizer,
    explicit: float | None,
    token_weight: Tensor,  # (B, L)
    maskable: Tensor,  # (B, L) bool
    counts: StepCounts,
    own_denominator: Tensor,  # 0-d: what the micro-batch would be divided by on its own
    share: float,
) -> tuple[Tensor, Tensor]:
    """Weights (B, L) and denominator (0-d) of one micro-batch.

    The trainer averages what the micro-batches of all processes give, each `share` of the step; a denominator of the
    whole step is multiplied by it.
    """
    if explicit is not None:
        return token_weight, torch.full_like(own_denominator, explicit * share)
    if normalizer == "micro_batch":
        return token_weight, own_denominator
    if normalizer == "token":
        return token_weight, counts.tokens.clamp(min=1) * share
    if normalizer == "sequence":
        token_weight = token_weight / maskable.sum(1, keepdim=True).clamp(min=1)
    return token_weight, counts.rows.clamp(min=1) * share
