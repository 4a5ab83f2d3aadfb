"""The targets' part in the gradients, kept out of the products: coefficient_i times a row, in float32.

Inside a half-precision product the coefficient of a target would be rounded before the sum, and with equal weights by
the same amount in every row: that error does not average out, and the rounding of partial sums would add to it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lift_kernels.fallback.tiles import slices

_BLOCK_ELEMENTS, _LEAST_COLUMNS = 1 << 18, 16  # of the few (N, K) tensors that are there at a time
_RUN = 256  # terms in a row are added one after another; float32 sums of more, of equal terms, would drift


def add_to_hidden(grad_hidden: Tensor, coefficient: Tensor, weight: Tensor, targets: Tensor) -> None:
    """grad_hidden_i += coefficient_i W[y_i], in place: (N, D) in the statistics dtype, (N,), (V, D), (N,)."""
    grad_hidden.addcmul_(coefficient[:, None], weight[targets].to(grad_hidden.dtype))


def add_to_weight(grad_weight: Tensor, coefficient: Tensor, hidden_states: Tensor, targets: Tensor) -> None:
    """grad_weight[y_i] += coefficient_i h_i, in place: (V, D), (N,), (N, D), (N,).

    Rows of the same target are summed in the dtype of `coefficient` before they are added, and in a fixed order. The
    scratch is some MiB, whatever the number of rows.
    """
    num_rows, width = hidden_states.shape
    if num_rows == 0:
        return
    target, order = targets.sort(stable=True)
    add_up, coefficient = _same_target_sums(target), coefficient[order, None]
    for columns in slices(width, max(_LEAST_COLUMNS, _BLOCK_ELEMENTS // num_rows)):
        terms = hidden_states[:, columns][order] * coefficient
        part = grad_weight[:, columns]
        # Equal targets write equal rows.
        part[target] = add_up(terms).add_(part[target]).to(part.dtype)


def add_to_bias(grad_bias: Tensor, coefficient: Tensor, targets: Tensor) -> None:
    """grad_bias[y_i] += coefficient_i, in place: (V,) in the dtype of the coefficients (N,), (N,)."""
    if coefficient.device.type != "mps":  # which has no float64
        coefficient = coefficient.double()
    grad_bias += _sum_segments(coefficient[:, None], targets, grad_bias.shape[0])[:, 0]


def _same_target_sums(target: Tensor) -> Callable[[Tensor], Tensor]:
    """Return what maps terms (N, K) of rows with these sorted targets (N,) to the sums of each row's target, (N, K).

    How many targets there are is not known on the host, so as many sums as rows are formed.
    """
    num_rows, place = target.shape[0], torch.arange(target.shape[0], device=target.device)
    is_new = torch.cat([target.new_ones(1, dtype=torch.bool), target[1:] != target[:-1]])
    segment = is_new.cumsum(0) - 1
    if num_rows <= _RUN:
        return lambda terms: _sum_segments(terms, segment, num_rows)[segment]
    first = place.where(is_new, 0).cummax(0).values
    run = ((place - first) % _RUN == 0).cumsum(0) - 1
    segment_of_run = torch.zeros_like(segment).scatter_(0, run, segment)

    def add_up(terms: Tensor) -> Tensor:
        return _sum_segments(_sum_segments(terms, run, num_rows), segment_of_run, num_rows)[segment]

    return add_up


def _sum_segments(terms: Tensor, segment: Tensor, num_segments: int) -> Tensor:
    """(N, D), (N,) int64 -> (num_segments, D): `index_add_`, but without atomics on a GPU."""
    return torch.ops.aten.embedding_dense_backward(terms, segment, num_segments, -1, False)
