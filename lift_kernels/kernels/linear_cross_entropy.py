"""Choose the kernels for the cross-entropy of a linear head and its gradients on a GPU.

`linear_head.HeadBackend` says what each function promises. Two paths:

- bounded workspace: the matrix products are cuBLAS', one kernel between them reads each logit once (`softmax_rows`).
  2 products when the head is frozen, 3 when it is trained.
- minimal memory: logits exist on chip only (`tiled_statistics`), and the backward pass computes them again
  (`tiled_gradients`). It runs where the workspace holds no useful piece, for statistics of few rows, and for float16
  gradients: exponentials of a whole vocabulary do not fit its range.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels.kernels import plan as planning
from lift_kernels.kernels.chunked_gradients import chunked_gradients, chunked_row_gradients
from lift_kernels.kernels.head_gradients import Deferred
from lift_kernels.kernels.plan import DEFAULT_WORKSPACE_BYTES, Plan
from lift_kernels.kernels.row_chunks import Scratch, joined, row_chunk
from lift_kernels.kernels.rows import spread_rows, take_rows
from lift_kernels.kernels.stats_gradients import rows_of_stats
from lift_kernels.kernels.tiled_gradients import gradients_of_rows, least_workspace_bytes, tiled_gradients
from lift_kernels.kernels.tiled_statistics import tiled_statistics
from lift_kernels.kernels.waves import num_multiprocessors
from lift_kernels.linear_head import Gradients, LinearHead, NeedsGrad, RowStats, StatsGrad, TokenWeight

__all__ = [
    "gradients_from_stats",
    "head_gradients",
    "loss_gradients",
    "spread_rows",
    "stats_gradients",
    "take_rows",
    "token_stats",
]


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
    plan = None
    if hidden_states.shape[0] > planning.FEW_ROWS:
        workspace_bytes = _workspace(workspace_bytes, hidden_states)
        plan = planning.plan_statistics(
            *_sizes(hidden_states, head), workspace_bytes, num_multiprocessors(hidden_states.device)
        )
    if plan is None or workspace_bytes is None:
        return tiled_statistics(hidden_states, head, targets, all_stats=all_stats, runner_up=runner_up, rank=rank)
    scratch = Scratch.allocate(head.weight, plan, workspace_bytes, exponentials=False)
    stats = []
    for rows in plan.row_chunks():
        chunk_targets = None if targets is None else targets[rows]
        chunk = row_chunk(
            hidden_states[rows],
            head,
            chunk_targets,
            plan,
            scratch,
            all_stats=all_stats,
            runner_up=runner_up,
            rank=rank,
        )
        stats.append(chunk.merge())
    return joined(stats, hidden_states.device)


def loss_gradients(
    hidden_states: Tensor,
    head: LinearHead,
    targets: Tensor,
    token_weight: TokenWeight,  # (N,) float32, or formed from the (N,) log-probabilities
    needs_grad: NeedsGrad,
    *,
    workspace_bytes: int | None,
    all_stats: bool,
    may_defer: bool = False,
) -> tuple[RowStats, Tensor, Gradients]:
    """Return (statistics, token weights, gradients) of every row in the fewest products that the workspace allows.

    Of a weight whose gradient is deferred, exponentials no larger than it is outlive the call, and beside them the
    float32 sum of the chunks before the last, where the rows come in several.
    """
    plan = _plan_gradients(hidden_states, head, needs_grad, workspace_bytes, may_defer)
    # Chunks are finished one after another, and the sum over rows in the head's gradient needs their weights.
    needs_weights_first = callable(token_weight) and needs_grad.head and plan is not None and not plan.is_one_chunk
    if plan is not None and not needs_weights_first:
        return chunked_gradients(
            hidden_states, head, targets, token_weight, needs_grad, plan, _workspace(workspace_bytes, hidden_states),
            all_stats=all_stats,
        )  # fmt: skip
    stats = token_stats(hidden_states, head, targets, workspace_bytes=workspace_bytes, all_stats=all_stats)
    weights = token_weight(stats.log_prob) if callable(token_weight) else token_weight
    gradients = Gradients()
    if any(needs_grad):
        gradients = _gradients(hidden_states, head, targets, weights, stats, needs_grad, plan, workspace_bytes)
    return stats, weights, gradients


def head_gradients(
    deferred: tuple[Tensor, ...], grad_loss: Tensor, needs_grad: NeedsGrad
) -> tuple[Tensor | None, Tensor | None]:
    """Return grad_loss (0-d) times the gradients of weight and bias; `deferred` stays as it is.

    Of one chunk of rows, those of the weight that are targets are rounded twice (`Chunk.add_targets` says why).
    """
    return Deferred(*deferred).gradients(grad_loss, needs_grad)


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
    plan = _plan_gradients(hidden_states, head, needs_grad, workspace_bytes)
    stats = RowStats(log_prob, lse, lse, lse, targets)  # the others are not looked at
    return _gradients(hidden_states, head, targets, token_weight, stats, needs_grad, plan, workspace_bytes)


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
    """Return the gradients of sum_i of grad's entries times the statistics': the logits are computed again."""
    rows = rows_of_stats(hidden_states, targets, stats, grad)
    plan = _plan_gradients(hidden_states, head, needs_grad, workspace_bytes)
    if plan is not None:
        return chunked_row_gradients(rows, head, needs_grad, plan, _workspace(workspace_bytes, hidden_states))
    return gradients_of_rows(rows, head, needs_grad, workspace_bytes=_workspace(workspace_bytes, hidden_states))


def _gradients(
    hidden_states: Tensor,
    head: LinearHead,
    targets: Tensor,
    weights: Tensor,
    stats: RowStats,
    needs_grad: NeedsGrad,
    plan: Plan | None,
    workspace_bytes: int | None,
) -> Gradients:
    workspace_bytes = _workspace(workspace_bytes, hidden_states)
    if plan is not None:
        return chunked_gradients(
            hidden_states, head, targets, weights, needs_grad, plan, workspace_bytes, all_stats=False
        )[2]
    return tiled_gradients(
        hidden_states, head, targets, weights, stats.lse, stats.log_prob, needs_grad, workspace_bytes=workspace_bytes
    )


def _plan_gradients(
    hidden_states: Tensor,
    head: LinearHead,
    needs_grad: NeedsGrad,
    workspace_bytes: int | None,
    may_defer: bool = False,
) -> Plan | None:
    """None where no gradient is asked for, or the minimal-memory path must run."""
    if hidden_states.dtype == torch.float16 or not any(needs_grad):
        return None
    sizes = (*_sizes(hidden_states, head), hidden_states.element_size(), _workspace(workspace_bytes, hidden_states))
    plan = planning.plan_gradients(*sizes, num_multiprocessors(hidden_states.device))
    if may_defer and needs_grad.weight and hidden_states.shape[0] > 0:
        # In the place of a gradient that is not formed yet, exponentials of no more bytes cost no memory.
        gradient_bytes = head.weight.numel() * head.weight.element_size()
        deferring = planning.plan_gradients(*sizes, num_multiprocessors(hidden_states.device), gradient_bytes)
        if deferring is not None and (plan is None or deferring.num_chunks <= plan.num_chunks):
            return deferring
    return plan


def _sizes(hidden_states: Tensor, head: LinearHead) -> tuple[int, int, int]:
    return (*hidden_states.shape, head.weight.shape[0])


def _workspace(workspace_bytes: int | None, hidden_states: Tensor) -> int:
    if workspace_bytes is None:
        return DEFAULT_WORKSPACE_BYTES
    least = least_workspace_bytes(hidden_states.shape[1], hidden_states.dtype)
    if workspace_bytes < least:
        raise ValueError(
            f"workspace_bytes must be at least {least} for one block with D={hidden_states.shape[1]}, "
            f"got {workspace_bytes}."
        )
    return workspace_bytes
