"""Gradients of a linear head in the fewest products: exponentials of a chunk of rows lie in memory."""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels.kernels.head_gradients import Chunk, Deferred
from lift_kernels.kernels.plan import Plan, slices
from lift_kernels.kernels.row_chunks import Scratch, joined, row_chunk
from lift_kernels.kernels.rows import Addend, copy_rows
from lift_kernels.kernels.softmax_rows import finish_rows
from lift_kernels.linear_head import Gradients, LinearHead, NeedsGrad, RowStats, TokenWeight


def chunked_gradients(
    hidden_states: Tensor,  # (N, D)
    head: LinearHead,
    targets: Tensor,  # (N,)
    token_weight: TokenWeight,  # a function only where the head's gradient needs one chunk
    needs_grad: NeedsGrad,
    plan: Plan,
    workspace_bytes: int,
    *,
    all_stats: bool,
) -> tuple[RowStats, Tensor, Gradients]:
    """Return statistics, token weights and gradients; the head's are deferred where the exponentials lie apart."""
    dtype, num_rows, (num_columns, width) = hidden_states.dtype, hidden_states.shape[0], head.weight.shape
    scratch = Scratch.allocate(head.weight, plan, workspace_bytes, exponentials=True)
    assert scratch.exponentials is not None
    grad_hidden = hidden_states.new_empty((num_rows, width)) if needs_grad.hidden_states else None
    grad_weight = grad_bias = deferred = None
    if not (plan.exponentials_apart and plan.is_one_chunk):
        # Where several chunks add up, they do so in float32, and the sum is rounded once.
        sum_dtype = dtype if plan.is_one_chunk else torch.float32
        grad_weight = head.weight.new_empty((num_columns, width), dtype=sum_dtype) if needs_grad.weight else None
        grad_bias = scratch.buffer.new_zeros(num_columns) if needs_grad.bias else None
    if grad_weight is not None and num_rows == 0:
        grad_weight.zero_()  # no chunk will write it

    stats, weights = [], None if callable(token_weight) else token_weight
    for rows in plan.row_chunks():
        partial = row_chunk(hidden_states[rows], head, targets[rows], plan, scratch, all_stats=all_stats)
        stats.append(partial.merge())
        exponentials = scratch.exponentials[: rows.stop - rows.start]
        factor, target_factor = finish_rows(partial, head)
        if callable(token_weight) and plan.is_one_chunk:  # every log-probability is there
            weights = token_weight(stats[-1].log_prob)
        if weights is not None:
            factor, target_factor = factor * weights[rows], target_factor * weights[rows]
        chunk = Chunk(exponentials, hidden_states[rows], targets[rows], factor, target_factor)
        if grad_hidden is not None:
            _write_hidden_gradient(chunk, scratch, plan, grad_hidden[rows])
        if plan.exponentials_apart and rows.stop == num_rows:
            deferred = Deferred.of(chunk, num_columns, grad_weight, grad_bias)
            grad_weight = grad_bias = None
        else:
            scaled = scratch.buffer.view(dtype)[: chunk.hidden_states.numel()].view(chunk.hidden_states.shape)
            chunk.add_to(grad_weight, grad_bias, scaled, is_first=rows.start == 0)
    all_rows = joined(stats, hidden_states.device)
    if weights is None:
        # A row's gradient is linear in its weight, so the weights may come last.
        weights = token_weight(all_rows.log_prob)  # type: ignore[operator]
        if grad_hidden is not None:
            copy_rows(grad_hidden, grad_hidden, scale=weights)
    return all_rows, weights, Gradients(
        grad_hidden,
        None if grad_weight is None else grad_weight.to(dtype),
        None if grad_bias is None else grad_bias.to(dtype),
        deferred,
    )  # fmt: skip


def _write_hidden_gradient(chunk: Chunk, scratch: Scratch, plan: Plan, out: Tensor) -> None:
    """out = factor * (E @ weight) + target_factor * weight[targets], rounded once: (C, D)."""
    num_rows, width = out.shape
    for rows in slices(num_rows, plan.hidden_rows):
        product = scratch.buffer[: (rows.stop - rows.start) * width].view(-1, width)
        scratch.weight.hidden_product(chunk.exponentials[rows], product)
        target = Addend(scratch.weight.weight, chunk.targets[rows], chunk.target_factor[rows])
        copy_rows(product, out[rows], scale=chunk.factor[rows], addend=target)
