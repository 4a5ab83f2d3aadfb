"""The targets' part in the gradients, kept out of the products: coefficient_i times a row, in float32.

Inside a half-precision product the coefficient of a target would be rounded before the sum, and with equal weights by
the same amount in every row: that error does not average out, and the rounding of partial sums would add to it.
"""

from __future__ import annotations

import torch
from torch import Tensor


def add_to_hidden(grad_hidden: Tensor, coefficient: Tensor, weight: Tensor, targets: Tensor) -> None:
    """grad_hidden_i += coefficient_i W[y_i], in place: (N, D) in the statistics dtype, (N,), (V, D), (N,)."""
    grad_hidden.addcmul_(coefficient[:, None], weight[targets].to(grad_hidden.dtype))


def add_to_weight(grad_weight: Tensor, coefficient: Tensor, hidden_states: Tensor, targets: Tensor) -> None:
    """grad_weight[y_i] += coefficient_i h_i, in place: (V, D), (N,), (N, D), (N,).

    Rows of the same target are summed in the dtype of `coefficient` before they are added, and in a fixed order.
    """
    target, order = targets.sort(stable=True)
    is_new = torch.cat([target.new_ones(1, dtype=torch.bool), target[1:] != target[:-1]])[: target.shape[0]]
    segment = is_new.cumsum(0) - 1
    terms = hidden_states[order] * coefficient[order, None]
    sums = _sum_segments(terms, segment, target.shape[0])[segment]
    # Equal targets write equal rows.
    grad_weight[target] = sums.add_(grad_weight[target]).to(grad_weight.dtype)


def add_to_bias(grad_bias: Tensor, coefficient: Tensor, targets: Tensor) -> None:
    """grad_bias[y_i] += coefficient_i, in place: (V,) in the dtype of the coefficients (N,), (N,)."""
    grad_bias += _sum_segments(coefficient[:, None], targets, grad_bias.shape[0])[:, 0]


def _sum_segments(terms: Tensor, segment: Tensor, num_segments: int) -> Tensor:
    """(N, D), (N,) int64 -> (num_segments, D): `index_add_`, but without atomics on a GPU."""
    return torch.ops.aten.embedding_dense_backward(terms, segment, num_segments, -1, False)
