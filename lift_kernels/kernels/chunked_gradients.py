"""Gradients of a linear head in the fewest products: exponentials of a chunk of rows lie in memory."""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels.kernels.head_gradients import Chunk, Deferred
from lift_kernels.kernels.plan import Plan, slices
from lift_kernels.kernels.row_chunks import Scratch, joined, row_chunk
from lift_kernels.kernels.rows import Addend, copy_rows
from lift_kernels.kernels.softmax_rows import finish_rows
from lift_kernels.kernels.stats_gradients import row_gradients
from lift_kernels.kernels.tiled_gradient import Rows
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
    scratch = Scratch.allocate(head.weight, plan, workspace_bytes, exponentials=True)
    assert scratch.exponentials is not None
    grad_hidden = hidden_states.new_empty(hidden_states.shape) if needs_grad.hidden_states else None
    grad_weight = grad_bias = deferred = None
    if not (plan.exponentials_apart and plan.is_one_chunk):
        grad_weight, grad_bias = _head_sums(head, needs_grad, plan)
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
        if plan.exponentials_apart and rows.stop == plan.num_rows:
            deferred = Deferred.of(chunk, plan.num_columns, grad_weight, grad_bias)
            grad_weight = grad_bias = None
        else:
            _add_head_part(chunk, scratch, grad_weight, grad_bias, is_first=rows.start == 0)
    all_rows = joined(stats, hidden_states.device)
    if weights is None:
        # A row's gradient is linear in its weight, so the weights may come last.
        weights = token_weight(all_rows.log_prob)  # type: ignore[operator]
        if grad_hidden is not None:
            copy_rows(grad_hidden, grad_hidden, scale=weights)
    return all_rows, weights, _rounded(grad_hidden, grad_weight, grad_bias, head)._replace(deferred=deferred)


def chunked_row_gradients(
    rows: Rows, head: LinearHead, needs_grad: NeedsGrad, plan: Plan, workspace_bytes: int
) -> Gradients:
    """Return the gradients that `gradients_of_rows` does, where the logits' of a chunk of rows fit in memory."""
    scratch = Scratch.allocate(head.weight, plan, workspace_bytes, exponentials=True)
    assert scratch.exponentials is not None
    grad_hidden = rows.hidden_states.new_empty(rows.hidden_states.shape) if needs_grad.hidden_states else None
    grad_weight, grad_bias = _head_sums(head, needs_grad, plan)
    # What `exponentials` of a chunk are for a loss of nll, the gradients for the products are here, so that every row
    # has the factor 1. A target outside the vocabulary keeps 0.
    factor, target_factor = torch.ones_like(rows.lse), torch.zeros_like(rows.lse)
    targets = torch.full_like(rows.lse, -1, dtype=torch.int64) if rows.targets is None else rows.targets
    for some in plan.row_chunks():
        part, gradient = rows.part(some), scratch.exponentials[: some.stop - some.start]
        for columns in plan.column_chunks():
            products = scratch.weight.products(part.hidden_states, columns, scratch.buffer)
            row_gradients(products, columns, part, head, gradient, target_factor[some])
        chunk = Chunk(gradient, part.hidden_states, targets[some], factor[some], target_factor[some])
        if grad_hidden is not None:
            _write_hidden_gradient(chunk, scratch, plan, grad_hidden[some])
        _add_head_part(chunk, scratch, grad_weight, grad_bias, is_first=some.start == 0)
    return _rounded(grad_hidden, grad_weight, grad_bias, head)


def _head_sums(head: LinearHead, needs_grad: NeedsGrad, plan: Plan) -> tuple[Tensor | None, Tensor | None]:
    """Return memory for the gradients of weight (V, D), which the first chunk writes, and bias (V,) float32, zeros."""
    # Where several chunks add up, they do so in float32, and the sum is rounded once.
    sum_dtype = head.weight.dtype if plan.is_one_chunk else torch.float32
    new = head.weight.new_empty if plan.num_rows else head.weight.new_zeros  # without rows no chunk will write it
    return (
        new(head.weight.shape, dtype=sum_dtype) if needs_grad.weight else None,
        head.weight.new_zeros(plan.num_columns, dtype=torch.float32) if needs_grad.bias else None,
    )


def _add_head_part(
    chunk: Chunk, scratch: Scratch, grad_weight: Tensor | None, grad_bias: Tensor | None, *, is_first: bool
) -> None:
    rows = chunk.hidden_states
    scaled = scratch.buffer.view(rows.dtype)[: rows.numel()].view(rows.shape)
    chunk.add_to(grad_weight, grad_bias, scaled, is_first=is_first)


def _rounded(
    grad_hidden: Tensor | None, grad_weight: Tensor | None, grad_bias: Tensor | None, head: LinearHead
) -> Gradients:
    dtype = head.weight.dtype
    return Gradients(
        grad_hidden,
        None if grad_weight is None else grad_weight.to(dtype),
        None if grad_bias is None else grad_bias.to(dtype),
    )


def _write_hidden_gradient(chunk: Chunk, scratch: Scratch, plan: Plan, out: Tensor) -> None:
    """out = factor * (E @ weight) + target_factor * weight[targets], rounded once: (C, D)."""
    num_rows, width = out.shape
    for rows in slices(num_rows, plan.hidden_rows):
        product = scratch.buffer[: (rows.stop - rows.start) * width].view(-1, width)
        scratch.weight.hidden_product(chunk.exponentials[rows], product)
        target = Addend(scratch.weight.weight, chunk.targets[rows], chunk.target_factor[rows])
        copy_rows(product, out[rows], scale=chunk.factor[rows], addend=target)
