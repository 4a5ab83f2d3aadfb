"""Parts of rows, such as blocks, in the place of rows: their tokens, what predicts them, and results put back."""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels.ops.linear_token_stats import TokenStats


def labels_of_parts(labels: Tensor, index: Tensor, *, predicts_next: bool) -> Tensor:
    """Return labels (B, L) by part (U, K): that at each index (U, K) of the flattened labels, -100 where it is -1.

    With `predicts_next` the first position of a row, which nothing predicts, has none.
    """
    if predicts_next:
        labels = labels.clone()
        labels[:, 0] = -100
    return labels.flatten()[index.clamp(min=0)].where(index >= 0, -100)


def states_of_parts(states: Tensor, index: Tensor, *, predicts_next: bool) -> Tensor:
    """Return the hidden states (U, K, D) that predict the tokens at each index (U, K), of states (B, L, D).

    With `predicts_next` that of the position before: a part is one of tokens, whatever predicts them.
    """
    place = (index - 1 if predicts_next else index).clamp(min=0)
    return states.flatten(0, 1).index_select(0, place.flatten()).unflatten(0, index.shape)


def to_rows(values: Tensor, index: Tensor, shape: torch.Size, fill: float) -> Tensor:
    """Return values (U, K) of the parts as (B, L), `shape`; `fill` where no part is."""
    rows = values.new_full((shape.numel() + 1,), fill)  # the last takes what has no place
    rows.scatter_(0, index.where(index >= 0, shape.numel()).flatten(), values.flatten())
    return rows[:-1].view(shape)


def stats_to_rows(stats: TokenStats, index: Tensor, shape: torch.Size) -> TokenStats:
    """Return statistics (U, K) of the parts as (B, L), `shape`; 0 and argmax -1 where no part is."""
    rows = TokenStats(*(to_rows(values, index, shape, 0) for values in stats))
    return rows._replace(argmax=to_rows(stats.argmax, index, shape, -1))
