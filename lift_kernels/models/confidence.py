"""A penalty on being unsure of what is right."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lift_kernels.ops.linear_token_stats import linear_token_stats


def mean_entropy_where_right(
    hidden_states: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, options: dict[str, Any]
) -> Tensor:
    """Return the mean entropy, 0-d in nats, of the tokens whose most likely token is the target; 0 where none is.

    It takes a pass over the head of its own, forward and backward.

    Args:
        hidden_states: (N, D).
        weight, bias: of the head.
        targets: (N,) int64, -100 where ignored.
        options: others of `linear_token_stats`.

    Source: dParallel (arXiv 2509.26488), as published with LLaDA 2.0 (github.com/inclusionAI/dFactory).
    """
    stats = linear_token_stats(hidden_states, weight, targets, bias=bias, differentiable=True, **options)
    is_right = (stats.argmax == targets) & (targets != -100)
    mean: Tensor = stats.entropy.where(is_right, 0).sum() / is_right.sum().clamp(min=1)
    return mean
