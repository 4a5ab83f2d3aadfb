"""Compute the cross-entropy of a linear head, and its gradients, over tiles of logits.

`linear_head.HeadBackend` says what each function promises. Three ways lead to the gradients of
sum_i token_weight_i * nll_i, chosen by what is asked for and what fits:

- only hidden states want a gradient: ONE pass, 2 products. As in FlashAttention, the sum over the vocabulary of
  exp(z - m) W is rescaled whenever the running maximum m grows (Milakov and Gimelshein, arXiv 1805.02867).
- the head is trained and the logits fit the workspace: they are kept between two passes, 3 products.
- the head is trained and they do not fit: the second pass computes them again, 4 products.

The target's column never enters as a rounded probability: where the model is sure, p - 1 = expm1(log p) is formed in
float32, so that a gradient of 5e-4 is not lost beside a probability that rounds to 1 in bfloat16.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from lift_kernels.fallback.matmul import LogitProduct
from lift_kernels.fallback.online_softmax import OnlineSoftmax, write_at_targets
from lift_kernels.fallback.tiles import Tiling, plan_tiles
from lift_kernels.linear_head import (
    Gradients,
    LinearHead,
    NeedsGrad,
    RowStats,
    TokenWeight,
    gradient_dtype,
    statistics_dtype,
)


def take_rows(rows: Tensor, index: Tensor) -> Tensor:  # (N, D), (M,) -> (M, D)
    return rows[index]


def spread_rows(rows: Tensor, index: Tensor, num_rows: int) -> Tensor:  # (M, D), (M,) -> (N, D), 0 elsewhere
    return rows.new_zeros((num_rows, *rows.shape[1:])).index_copy_(0, index, rows)


def tile_logits(head: LinearHead, product: LogitProduct, columns: slice, out: Tensor) -> Tensor:
    """Return the logits (N, K) of the vocabulary entries `columns`, written to `out`."""
    z = product(head.weight[columns], out)
    if head.bias is not None:
        z += head.bias[columns].to(z.dtype)
    if head.scale != 1.0:
        z *= head.scale
    if head.softcap is not None:
        z.div_(head.softcap).tanh_().mul_(head.softcap)
    return z


def logit_slope(head: LinearHead, z: Tensor) -> Tensor | None:
    """Return d logit / d (scale * (h W^T + b)), or None where it is 1."""
    return None if head.softcap is None else 1 - (z / head.softcap).square()


def token_stats(
    hidden_states: Tensor, head: LinearHead, targets: Tensor | None, *, workspace_bytes: int | None, all_stats: bool
) -> RowStats:
    """Return statistics of every row in one product; without entropy and argmax unless `all_stats`."""
    tiling = plan_tiles(hidden_states, head.weight, workspace_bytes)
    return _running_stats(hidden_states, head, targets, tiling, all_stats).finish()


def loss_gradients(
    hidden_states: Tensor,
    head: LinearHead,
    targets: Tensor,
    token_weight: TokenWeight,  # (N,) in the statistics dtype, or formed from the (N,) log-probabilities
    needs_grad: NeedsGrad,
    *,
    workspace_bytes: int | None,
    all_stats: bool,
) -> tuple[RowStats, Tensor, Gradients]:
    """Return (statistics, token weights, gradients) of every row in the fewest products that the workspace allows."""
    tiling = plan_tiles(hidden_states, head.weight, workspace_bytes)
    if not any(needs_grad):
        stats = _running_stats(hidden_states, head, targets, tiling, all_stats).finish()
        return stats, token_weight(stats.log_prob) if callable(token_weight) else token_weight, Gradients()
    if not needs_grad.head:
        if not callable(token_weight):
            stats, grad_hidden = _frozen_head(hidden_states, head, targets, token_weight, tiling, all_stats)
            return stats, token_weight, Gradients(grad_hidden)
        # A row's gradient is linear in its weight: scaled afterwards, one pass is enough.
        ones = torch.ones_like(targets, dtype=statistics_dtype(hidden_states.dtype))
        stats, grad_hidden = _frozen_head(hidden_states, head, targets, ones, tiling, all_stats)
        weights = token_weight(stats.log_prob)
        return stats, weights, Gradients(grad_hidden.mul_(weights[:, None]))
    logits = None
    if tiling.keeps_logits:
        running, logits = _keep_logits(hidden_states, head, targets, tiling, all_stats)
    else:
        running = _running_stats(hidden_states, head, targets, tiling, all_stats)
    stats = running.finish()
    weights = token_weight(stats.log_prob) if callable(token_weight) else token_weight
    return stats, weights, _second_pass(hidden_states, head, targets, weights, stats, needs_grad, tiling, logits)


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
    tiling = plan_tiles(hidden_states, head.weight, workspace_bytes)
    stats = RowStats(log_prob, lse, log_prob, log_prob, log_prob)
    return _second_pass(hidden_states, head, targets, token_weight, stats, needs_grad, tiling)


def _running_stats(
    hidden_states: Tensor, head: LinearHead, targets: Tensor | None, tiling: Tiling, all_stats: bool
) -> OnlineSoftmax:
    stats = OnlineSoftmax.zeros(hidden_states.shape[0], statistics_dtype(hidden_states.dtype), hidden_states.device)
    tile = stats.new_buffer(tiling.rows * tiling.columns)
    for rows in tiling.row_blocks():
        product = LogitProduct(hidden_states[rows])
        running = stats[rows]
        for columns in tiling.column_blocks():
            z = tile_logits(head, product, columns, _view(tile, rows, columns))
            running.update(z, columns, None if targets is None else targets[rows], all_stats=all_stats)
    return stats


def _keep_logits(
    hidden_states: Tensor, head: LinearHead, targets: Tensor, tiling: Tiling, all_stats: bool
) -> tuple[OnlineSoftmax, Tensor]:
    """Statistics of every row, and the (N, V) logits."""
    stats = OnlineSoftmax.zeros(hidden_states.shape[0], statistics_dtype(hidden_states.dtype), hidden_states.device)
    logits = stats.new_buffer(tiling.num_rows * tiling.num_columns).view(tiling.num_rows, tiling.num_columns)
    exponentials = stats.new_buffer(tiling.rows * tiling.columns)
    product = LogitProduct(hidden_states)
    every_row = slice(0, tiling.num_rows)
    for columns in tiling.column_blocks():
        z = tile_logits(head, product, columns, logits[:, columns])
        stats.update(z, columns, targets, all_stats=all_stats, out=_view(exponentials, every_row, columns))
    return stats, logits


def _second_pass(
    hidden_states: Tensor,
    head: LinearHead,
    targets: Tensor,
    token_weight: Tensor,
    stats: RowStats,
    needs_grad: NeedsGrad,
    tiling: Tiling,
    logits: Tensor | None = None,  # (N, V), computed again if None
) -> Gradients:
    """Gradients when the log-sum-exp of every row is known: each column block is finished in one visit."""
    dtype, lse, log_prob = gradient_dtype(hidden_states.dtype), stats.lse, stats.log_prob
    # new_*, not *_like: a registered op promises contiguous outputs, and a tied head may come transposed.
    grad_hidden = lse.new_zeros(hidden_states.shape) if needs_grad.hidden_states else None
    grad_weight = lse.new_empty(head.weight.shape, dtype=dtype) if needs_grad.weight else None
    if grad_weight is not None and tiling.num_rows == 0:
        grad_weight.zero_()  # no tile will be visited
    grad_bias = torch.zeros(head.weight.shape[0], dtype=lse.dtype, device=lse.device) if needs_grad.bias else None
    tile = lse.new_empty(tiling.rows * tiling.columns)
    is_one_block = tiling.rows >= tiling.num_rows
    # One block is prepared once; several are prepared at each visit, so that only one takes room.
    only_block = _RowBlock(hidden_states, dtype) if is_one_block else None
    for columns in tiling.column_blocks():
        weight_sum = None
        for rows in tiling.row_blocks():
            block = only_block or _RowBlock(hidden_states[rows], dtype)
            g = _view(tile, rows, columns)
            z = tile_logits(head, block.product, columns, g) if logits is None else logits[rows, columns]
            slope = logit_slope(head, z)
            torch.sub(z, lse[rows, None], out=g).exp_()
            write_at_targets(g, targets[rows], columns, torch.expm1(log_prob[rows]))
            g *= token_weight[rows, None] * head.scale
            if slope is not None:
                g *= slope
            if grad_bias is not None:
                grad_bias[columns] += g.sum(0)
            operand = g.to(dtype)
            if grad_hidden is not None:
                grad_hidden[rows] += operand @ head.weight[columns].to(dtype)
            if grad_weight is not None:
                if is_one_block:
                    torch.mm(operand.t(), block.operand, out=grad_weight[columns])
                else:
                    partial = (operand.t() @ block.operand).to(lse.dtype)
                    weight_sum = partial if weight_sum is None else weight_sum.add_(partial)
        if grad_weight is not None and weight_sum is not None:
            grad_weight[columns] = weight_sum.to(dtype)
    return Gradients(
        None if grad_hidden is None else grad_hidden.to(dtype),
        grad_weight,
        None if grad_bias is None else grad_bias.to(dtype),
    )


def _frozen_head(
    hidden_states: Tensor, head: LinearHead, targets: Tensor, token_weight: Tensor, tiling: Tiling, all_stats: bool
) -> tuple[RowStats, Tensor]:
    dtype = gradient_dtype(hidden_states.dtype)
    stats = OnlineSoftmax.zeros(hidden_states.shape[0], token_weight.dtype, hidden_states.device)
    grad_hidden = hidden_states.new_empty(hidden_states.shape, dtype=dtype)
    tile = stats.new_buffer(tiling.rows * tiling.columns)
    for rows in tiling.row_blocks():
        product = LogitProduct(hidden_states[rows])
        running = stats[rows]
        expectation = torch.zeros_like(hidden_states[rows], dtype=token_weight.dtype)  # sum_{v != y} exp(z_v - m) W_v
        for columns in tiling.column_blocks():
            z = tile_logits(head, product, columns, _view(tile, rows, columns))
            slope = logit_slope(head, z)
            correction = running.update(z, columns, targets[rows], all_stats=all_stats)  # z now holds exp(z - m)
            if slope is not None:
                z *= slope
            write_at_targets(z, targets[rows], columns, z.new_zeros(()).expand(z.shape[0]))
            expectation *= correction[:, None]
            expectation += z.to(dtype) @ head.weight[columns].to(dtype)
        target_slope = logit_slope(head, running.target_logit)
        at_target = torch.expm1(running.log_prob()) * (1 if target_slope is None else target_slope)
        expectation /= running.sum[:, None]
        expectation += at_target[:, None] * head.weight[targets[rows]].to(expectation.dtype)
        grad_hidden[rows] = (expectation * (token_weight[rows, None] * head.scale)).to(dtype)
    return stats.finish(), grad_hidden


class _RowBlock:
    """What the products of some rows read: for their logits, and for the gradient of the head."""

    def __init__(self, hidden_states: Tensor, dtype: torch.dtype) -> None:
        self._hidden_states = hidden_states
        self.operand = hidden_states.to(dtype)

    @cached_property
    def product(self) -> LogitProduct:
        """Made where logits are computed again: kept ones need no second widened copy."""
        return LogitProduct(self._hidden_states)


def _view(buffer: Tensor, rows: slice, columns: slice) -> Tensor:
    """The front of a flat buffer as one contiguous tile: ragged last tiles keep unit stride too."""
    height, width = rows.stop - rows.start, columns.stop - columns.start
    return buffer[: height * width].view(height, width)
