"""Make what the registered ops of a head return: an output that is not asked for is empty, as none can be None."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lift_kernels.linear_head import Gradients, HeadBackend, RowStats, gradient_dtype, statistics_dtype
from lift_kernels.ops.active_rows import ActiveRows


class HeadLoss(NamedTuple):
    """A loss that is a sum over rows, and what was formed on the way to it."""

    loss: Tensor  # 0-d
    gradients: Gradients  # of the M rows that take part
    rows: ActiveRows
    backend: HeadBackend
    others: tuple[Tensor, ...]  # what else the op returns: constants to autograd


def full_gradients(
    gradients: Gradients, rows: ActiveRows, hidden_states: Tensor, backend: HeadBackend
) -> tuple[Tensor, Tensor, Tensor]:
    """Return gradients as a registered op does: for hidden_states (N, D) of all rows, empty where not asked for."""
    gradients, rows = told_without_rows(gradients, rows, backend)
    grad_hidden = gradients.hidden_states
    return (
        _nothing(hidden_states) if grad_hidden is None else rows.spread(grad_hidden, backend),
        _nothing(hidden_states) if gradients.weight is None else gradients.weight,
        _nothing(hidden_states) if gradients.bias is None else gradients.bias,
    )


def told_without_rows(gradients: Gradients, rows: ActiveRows, backend: HeadBackend) -> tuple[Gradients, ActiveRows]:
    """Return gradients, and the rows those of hidden_states are of, that are nan where a count of 0 was wrong.

    Of any other count the rows' weights are nan (`ActiveRows.mark`), and the products carry that to the gradients.
    """
    if rows.is_wrong is None or rows.index.shape[0] > 0:
        return gradients, rows
    grad_hidden, grad_weight, grad_bias, deferred = gradients
    if grad_hidden is not None:
        grad_hidden = rows.spread(grad_hidden, backend)
    grad_hidden, grad_weight, grad_bias = (
        None if gradient is None else rows.mark(gradient) for gradient in (grad_hidden, grad_weight, grad_bias)
    )
    return Gradients(grad_hidden, grad_weight, grad_bias, deferred), ActiveRows.every(
        rows.index.new_empty(rows.num_rows)
    )


def _nothing(hidden_states: Tensor) -> Tensor:
    return hidden_states.new_empty(0, dtype=gradient_dtype(hidden_states.dtype))


def weighted_nll(log_prob: Tensor, token_weight: Tensor) -> Tensor:
    """Return -sum_i token_weight_i log_prob_i, where a weight of 0 also silences a log-probability of -inf."""
    return -torch.dot(log_prob.where(token_weight != 0, 0), token_weight)


def filled_stats(stats: RowStats) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return seven statistics, the runner-up's and the rank empty where there is none."""
    *_, runner_up, rank = stats
    return (
        *stats[:5],
        stats.lse.new_empty(0) if runner_up is None else runner_up,
        stats.argmax.new_empty(0) if rank is None else rank,
    )


def empty_stats(hidden_states: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return five statistics of `size` rows, not filled."""
    dtype = statistics_dtype(hidden_states.dtype)
    log_prob, lse, entropy, max_log_prob = (hidden_states.new_empty(size, dtype=dtype) for _ in range(4))
    return log_prob, lse, entropy, max_log_prob, hidden_states.new_empty(size, dtype=torch.int64)


def empty_gradients(
    hidden_states: Tensor,
    weight: Tensor,
    needs_grad_hidden_states: bool,
    needs_grad_weight: bool,
    needs_grad_bias: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return gradients in the shapes of `full_gradients`, not filled."""
    dtype = gradient_dtype(hidden_states.dtype)
    return (
        hidden_states.new_empty(hidden_states.shape if needs_grad_hidden_states else 0, dtype=dtype),
        weight.new_empty(weight.shape if needs_grad_weight else 0, dtype=dtype),
        weight.new_empty(weight.shape[0] if needs_grad_bias else 0, dtype=dtype),
    )
