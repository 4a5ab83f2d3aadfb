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
from lift_kernels.kernels.launch_configs import launch_config
from lift_kernels.kernels.partial_statistics import PartialStatistics
from lift_kernels.kernels.plan import DEFAULT_WORKSPACE_BYTES, Plan, slices
from lift_kernels.kernels.products import multiply
from lift_kernels.kernels.rows import copy_rows, spread_rows, take_rows
from lift_kernels.kernels.softmax_rows import set_target_column, softmax_rows, weighted_column_sums
from lift_kernels.kernels.tiled_gradients import least_workspace_bytes, tiled_gradients
from lift_kernels.kernels.tiled_statistics import tiled_statistics
from lift_kernels.linear_head import Gradients, LinearHead, NeedsGrad, RowStats, TokenWeight

__all__ = ["gradients_from_stats", "loss_gradients", "spread_rows", "take_rows", "token_stats"]

# Reading the head bounds the time of so few rows; logits that never leave the chip then save the only other traffic.
_FEW_ROWS = 64


def token_stats(
    hidden_states: Tensor, head: LinearHead, targets: Tensor | None, *, workspace_bytes: int | None, all_stats: bool
) -> RowStats:
    """Return statistics of every row in one product; without entropy and argmax unless `all_stats`."""
    num_rows, width = hidden_states.shape
    plan = None
    if num_rows > _FEW_ROWS:
        plan = planning.plan_statistics(
            num_rows, width, head.weight.shape[0], _workspace(workspace_bytes, hidden_states)
        )
    if plan is None:
        return tiled_statistics(hidden_states, head, targets, all_stats=all_stats)
    buffer = hidden_states.new_empty(plan.buffer_size, dtype=torch.float32)
    stats = []
    for rows in plan.row_chunks():
        chunk_targets = None if targets is None else targets[rows]
        stats.append(_row_chunk(hidden_states[rows], head, chunk_targets, plan, buffer, None, all_stats).merge())
    return _joined(stats, hidden_states.device)


def loss_gradients(
    hidden_states: Tensor,
    head: LinearHead,
    targets: Tensor,
    token_weight: TokenWeight,  # (N,) float32, or formed from the (N,) log-probabilities
    needs_grad: NeedsGrad,
    *,
    workspace_bytes: int | None,
    all_stats: bool,
) -> tuple[RowStats, Tensor, Gradients]:
    """Return (statistics, token weights, gradients) of every row in the fewest products that the workspace allows."""
    plan = _plan_gradients(hidden_states, head, workspace_bytes) if any(needs_grad) else None
    # Chunks are finished one after another, and the sum over rows in the head's gradient needs their weights.
    needs_weights_first = callable(token_weight) and needs_grad.head and plan is not None and not plan.is_one_chunk
    if plan is None or needs_weights_first:
        stats = token_stats(hidden_states, head, targets, workspace_bytes=workspace_bytes, all_stats=all_stats)
        weights = token_weight(stats.log_prob) if callable(token_weight) else token_weight
        if not any(needs_grad):
            return stats, weights, Gradients()
        return stats, weights, gradients_from_stats(
            hidden_states, head, targets, weights, stats.lse, stats.log_prob, needs_grad,
            workspace_bytes=workspace_bytes,
        )  # fmt: skip
    return _one_pass(hidden_states, head, targets, token_weight, needs_grad, plan, all_stats)


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
    plan = _plan_gradients(hidden_states, head, workspace_bytes)
    if plan is not None:
        return _one_pass(hidden_states, head, targets, token_weight, needs_grad, plan, all_stats=False)[2]
    return tiled_gradients(
        hidden_states, head, targets, token_weight, lse, log_prob, needs_grad,
        workspace_bytes=_workspace(workspace_bytes, hidden_states),
    )  # fmt: skip


def _one_pass(
    hidden_states: Tensor,
    head: LinearHead,
    targets: Tensor,
    token_weight: TokenWeight,
    needs_grad: NeedsGrad,
    plan: Plan,
    all_stats: bool,
) -> tuple[RowStats, Tensor, Gradients]:
    dtype, (num_rows, width), num_columns = hidden_states.dtype, hidden_states.shape, head.weight.shape[0]
    buffer = hidden_states.new_empty(plan.buffer_size, dtype=torch.float32)
    exponentials = hidden_states.new_empty((plan.rows, plan.row_stride))[:, :num_columns]
    grad_hidden = hidden_states.new_empty((num_rows, width)) if needs_grad.hidden_states else None
    # Where several chunks add up, they do so in float32, and the sum is rounded once.
    weight_dtype = dtype if plan.is_one_chunk else torch.float32
    grad_weight = head.weight.new_empty((num_columns, width), dtype=weight_dtype) if needs_grad.weight else None
    grad_bias = buffer.new_zeros(num_columns) if needs_grad.bias else None
    if grad_weight is not None and num_rows == 0:
        grad_weight.zero_()  # no chunk will write it

    stats, factors, weights = [], [], None if callable(token_weight) else token_weight
    for rows in plan.row_chunks():
        chunk, chunk_targets, chunk_exponentials = hidden_states[rows], targets[rows], exponentials[: _length(rows)]
        partial = _row_chunk(chunk, head, chunk_targets, plan, buffer, chunk_exponentials, all_stats)
        stats.append(partial.merge())
        factor = set_target_column(chunk_exponentials, chunk_targets, stats[-1].log_prob, partial, head)
        if callable(token_weight) and plan.is_one_chunk:  # every log-probability is there
            weights = token_weight(stats[-1].log_prob)
        if weights is not None:
            factor *= weights[rows]
        else:
            factors.append(factor)
        if grad_hidden is not None:
            scale = None if weights is None else factor
            _scaled_product(chunk_exponentials, head.weight, scale, buffer, grad_hidden[rows])
        if grad_weight is not None:
            scaled = copy_rows(chunk, buffer.view(dtype)[: chunk.numel()].view(chunk.shape), scale=factor)
            multiply(chunk_exponentials.t(), scaled, grad_weight, accumulate=rows.start > 0)
        if grad_bias is not None:
            weighted_column_sums(chunk_exponentials, factor, grad_bias, accumulate=rows.start > 0)
    joined = _joined(stats, hidden_states.device)
    if weights is None:
        # A row's gradient is linear in its weight, so the weights may come last.
        weights = token_weight(joined.log_prob)  # type: ignore[operator]
        if grad_hidden is not None and num_rows:
            copy_rows(grad_hidden, grad_hidden, scale=torch.cat(factors) * weights)
    return joined, weights, Gradients(
        grad_hidden,
        None if grad_weight is None else grad_weight.to(dtype),
        None if grad_bias is None else grad_bias.to(dtype),
    )  # fmt: skip


def _row_chunk(
    hidden_states: Tensor,  # (C, D)
    head: LinearHead,
    targets: Tensor | None,  # (C,)
    plan: Plan,
    buffer: Tensor,  # (plan.buffer_size,) float32
    exponentials: Tensor | None,  # (C, V)
    all_stats: bool,
) -> PartialStatistics:
    num_rows = hidden_states.shape[0]
    statistics = PartialStatistics.empty(num_rows, 1, hidden_states.device)
    launch = launch_config("softmax_rows", hidden_states.dtype, hidden_states.device, num_rows)
    for columns in plan.column_chunks():
        size = _length(columns)
        products = buffer[: num_rows * size].view(num_rows, size)
        multiply(hidden_states, head.weight[columns].t(), products)
        softmax_rows(products, columns, head, targets, statistics, exponentials, launch, all_stats=all_stats)
    return statistics


def _scaled_product(exponentials: Tensor, weight: Tensor, scale: Tensor | None, buffer: Tensor, out: Tensor) -> None:
    """out = scale * (exponentials @ weight), rounded once: (C, V), (V, D), (C,) -> (C, D)."""
    num_rows, width = out.shape
    for rows in slices(num_rows, buffer.numel() // width):
        product = buffer[: _length(rows) * width].view(-1, width)
        multiply(exponentials[rows], weight, product)
        copy_rows(product, out[rows], scale=None if scale is None else scale[rows])


def _plan_gradients(hidden_states: Tensor, head: LinearHead, workspace_bytes: int | None) -> Plan | None:
    """None where the minimal-memory path must run."""
    if hidden_states.dtype == torch.float16:
        return None
    (num_rows, width), element_size = hidden_states.shape, hidden_states.element_size()
    return planning.plan_gradients(
        num_rows, width, head.weight.shape[0], element_size, _workspace(workspace_bytes, hidden_states)
    )


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


def _length(span: slice) -> int:
    return span.stop - span.start


def _joined(stats: list[RowStats], device: torch.device) -> RowStats:
    if not stats:
        return PartialStatistics.empty(0, 1, device).merge()
    return stats[0] if len(stats) == 1 else RowStats(*(torch.cat(values) for values in zip(*stats, strict=True)))
