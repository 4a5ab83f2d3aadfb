"""The scoring forward: what the model knows of masked tokens, without gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lift_kernels import TokenStats


def score_rows(
    forward: Callable[..., Any], corrupted_ids: Tensor, labels: Tensor, rows: Tensor, **arguments: Any
) -> TokenStats:
    """Statistics (B, L) of the labels (B, L) in `rows` (R,), by a patched `forward`; 0 in the other rows.

    `arguments` of the forward, such as attention_mask, are those of these rows already; with runner_up=True among them
    the statistics are a `TokenStatsWithRunnerUp`.
    """
    if rows.numel() == 0:
        nothing = torch.zeros(labels.shape, dtype=torch.float32, device=labels.device)
        return TokenStats(nothing, nothing, nothing, nothing, torch.full_like(labels, -1))
    with torch.no_grad():
        stats = forward(
            input_ids=corrupted_ids[rows],
            labels=labels[rows],
            denominator=1.0,  # of a loss that nobody looks at
            return_token_stats=True,
            return_dict=True,  # whatever the model's config says
            **arguments,
        ).token_stats
    whole: TokenStats = stats._make(values.new_zeros(labels.shape).index_copy_(0, rows, values) for values in stats)
    return whole
