"""Compute the cross-entropy of a linear head, and its gradients, over tiles of logits.

`linear_head.HeadBackend` says what each function promises. Three ways lead to the gradients of
sum_i token_weight_i * nll_i, chosen by what is asked for and what fits:

- only hidden states want a gradient: ONE pass, 2 products (`first_pass`).
- the head is trained and its exponentials fit the workspace: the same pass keeps them, rounded to the dtype of the
  gradients, and `head_gradients` forms the third product from them, in the backward pass where it may.
- the head is trained and they do not fit: a second pass computes the logits again, 4 products (`second_pass`).

The target's column is in none of these products: 1 - p is formed from the sum of the others, so that a gradient of
1e-12 is not lost beside a probability that rounds to 1, and its part is added in the statistics dtype (`target_rows`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels.fallback.first_pass import gather_gradients, gather_stats
from lift_kernels.fallback.head_gradients import head_gradients
from lift_kernels.fallback.matmul import HeadRows
from lift_kernels.fallback.second_pass import second_pass
from lift_kernels.fallback.tiles import Tiling, plan_tiles
from lift_kernels.linear_head import (
    Gradients,
    LinearHead,
    NeedsGrad,
    RowStats,
    StatsGrad,
    TokenWeight,
    gradient_dtype,
)

__all__ = [
    "gradients_from_stats",
    "head_gradients",
    "loss_gradients",
    "spread_rows",
    "stats_gradients",
    "take_rows",
    "token_stats",
]


def take_rows(rows: Tensor, index: Tensor) -> Tensor:  # (N, D), (M,) -> (M, D)
    return rows[index]


def spread_rows(
    rows: Tensor, index: Tensor, num_rows: int, *, scale: Tensor | None = None, dtype: torch.dtype | None = None
) -> Tensor:  # (M, D), (M,) -> (N, D), 0 elsewhere
    out = rows.new_zeros((num_rows, *rows.shape[1:]), dtype=dtype)
    if scale is not None:
        rows = rows * scale if scale.device.type == "cpu" else rows.to(scale.dtype) * scale
    return out.index_copy_(0, index, rows.to(out.dtype))


def token_stats(
    hidden_states: Tensor,
    head: LinearHead,
    targets: Tensor | None,
    *,
    workspace_bytes: int | None,
    all_stats: bool,
    runner_up: bool = False,
    rank: bool = False,
) -> RowStats:
    """Return statistics of every row in one product; without entropy and argmax unless `all_stats`."""
    tiling = plan_tiles(hidden_states, head.weight, workspace_bytes)
    return gather_stats(hidden_states, head, targets, tiling, all_stats=all_stats, runner_up=runner_up, rank=rank)


def loss_gradients(
    hidden_states: Tensor,
    head: LinearHead,
    targets: Tensor,
    token_weight: TokenWeight,  # (N,) in the statistics dtype, or formed from the (N,) log-probabilities
    needs_grad: NeedsGrad,
    *,
    workspace_bytes: int | None,
    all_stats: bool,
    may_defer: bool = False,
) -> tuple[RowStats, Tensor, Gradients]:
    """Return (statistics, token weights, gradients) of every row in the fewest products that the workspace allows."""
    tiling = plan_tiles(hidden_states, head.weight, workspace_bytes)
    if needs_grad.head and tiling.keeps_exponentials:
        return _trained_head(hidden_states, head, targets, token_weight, needs_grad, tiling, all_stats, may_defer)
    if needs_grad.hidden_states and not needs_grad.head:
        return _frozen_head(hidden_states, head, targets, token_weight, tiling, all_stats)
    stats = gather_stats(hidden_states, head, targets, tiling, all_stats=all_stats)
    weights = _resolved(token_weight, stats)
    if not any(needs_grad):
        return stats, weights, Gradients()
    grad = StatsGrad(log_prob=-weights)
    return stats, weights, second_pass(hidden_states, head, targets, stats, grad, needs_grad, tiling)


def gradients_from_stats(
    hidden_states: Tensor,
    head: LinearHead,
    targets: Tensor,
    token_weight: Tensor,  # (N,)
    lse: Tensor,  # (N,)
    log_prob: Tensor,  # (N,)
    needs_grad: NeedsGrad,
    *,
    workspace_bytes: int | None,
) -> Gradients:
    """Return gradients from saved statistics: the logits are computed again."""
    stats = RowStats(log_prob, lse, log_prob, log_prob, log_prob)
    return stats_gradients(
        hidden_states, head, targets, stats, StatsGrad(log_prob=-token_weight), needs_grad,
        workspace_bytes=workspace_bytes,
    )  # fmt: skip


def stats_gradients(
    hidden_states: Tensor,
    head: LinearHead,
    targets: Tensor | None,
    stats: RowStats,
    grad: StatsGrad,
    needs_grad: NeedsGrad,
    *,
    workspace_bytes: int | None,
) -> Gradients:
    """Return the gradients of a loss from those of the statistics: the logits are computed again."""
    tiling = plan_tiles(hidden_states, head.weight, workspace_bytes)
    return second_pass(hidden_states, head, targets, stats, grad, needs_grad, tiling)


def _frozen_head(
    hidden_states: Tensor, head: LinearHead, targets: Tensor, token_weight: TokenWeight, tiling: Tiling, all_stats: bool
) -> tuple[RowStats, Tensor, Gradients]:
    dtype, blocks = gradient_dtype(hidden_states.dtype), []
    grad_hidden = hidden_states.new_empty(hidden_states.shape, dtype=dtype)
    unweighted = grad_hidden  # rounded once more where weights come last and rows in several blocks
    head_rows = HeadRows(head.weight, tiling.columns)
    for rows in tiling.row_blocks():
        found = gather_gradients(
            hidden_states[rows], head, targets[rows], tiling, head_rows, all_stats=all_stats, grad_hidden=True,
            keep_exponentials=False,
        )  # fmt: skip
        blocks.append(found.stats)
        assert found.grad_hidden is not None
        if not callable(token_weight):
            grad_hidden[rows] = found.grad_hidden.mul_(token_weight[rows, None])
        elif tiling.is_one_block:
            unweighted = found.grad_hidden
        else:
            grad_hidden[rows] = found.grad_hidden
    stats = RowStats.joined(blocks)
    weights = _resolved(token_weight, stats)
    if callable(token_weight):
        grad_hidden.copy_(unweighted.mul_(weights[:, None]))
    return stats, weights, Gradients(grad_hidden)


def _trained_head(
    hidden_states: Tensor,
    head: LinearHead,
    targets: Tensor,
    token_weight: TokenWeight,
    needs_grad: NeedsGrad,
    tiling: Tiling,
    all_stats: bool,
    may_defer: bool,
) -> tuple[RowStats, Tensor, Gradients]:
    found = gather_gradients(
        hidden_states, head, targets, tiling, HeadRows(head.weight, tiling.columns), all_stats=all_stats,
        grad_hidden=needs_grad.hidden_states, keep_exponentials=True,
    )  # fmt: skip
    weights = _resolved(token_weight, found.stats)
    grad_hidden = None
    if found.grad_hidden is not None:
        grad_hidden = found.grad_hidden.mul_(weights[:, None]).to(
            gradient_dtype(hidden_states.dtype), memory_format=torch.contiguous_format
        )
    assert found.exponentials is not None and found.factors is not None and found.at_target is not None
    deferred = (
        found.exponentials, found.factors.mul_(weights), found.at_target.mul_(weights), hidden_states, targets
    )  # fmt: skip
    size = (head.weight.numel() if needs_grad.weight else 0) * found.exponentials.itemsize
    if may_defer and sum(tensor.nbytes for tensor in deferred) <= size:
        return found.stats, weights, Gradients(grad_hidden, deferred=deferred)
    return found.stats, weights, Gradients(grad_hidden, *head_gradients(deferred, weights.new_ones(()), needs_grad))


def _resolved(token_weight: TokenWeight, stats: RowStats) -> Tensor:
    return token_weight(stats.log_prob) if callable(token_weight) else token_weight
