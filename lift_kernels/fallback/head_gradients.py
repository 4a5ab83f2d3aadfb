"""The gradients of a trained head from kept exponentials: one product, with the upstream gradient in it."""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels.fallback.matmul import operand_dtype
from lift_kernels.fallback.target_rows import add_to_bias, add_to_weight
from lift_kernels.fallback.tiles import balanced_columns, slices
from lift_kernels.linear_head import NeedsGrad

_RUN = 256  # float32 sums of more terms, where these are alike, would drift

# (V, N) exponentials in the gradients' dtype, 0 at the targets; (T, N) what brings each of the T tiles of them to the
# rows' final share in the gradient; (N,) the targets' coefficients; (N, D) hidden states; (N,) targets.
Deferred = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def head_gradients(
    deferred: tuple[Tensor, ...], grad_loss: Tensor, needs_grad: NeedsGrad
) -> tuple[Tensor | None, Tensor | None]:
    """Return grad_loss (0-d) times the gradients of weight (V, D) and bias (V,), each rounded once."""
    exponentials, factors, at_target, hidden_states, targets = deferred
    num_columns, dtype = exponentials.shape[0], exponentials.dtype
    operand = operand_dtype(exponentials)
    at_target = at_target * grad_loss
    grad_weight = exponentials.new_empty((num_columns, hidden_states.shape[1])) if needs_grad.weight else None
    grad_bias = factors.new_empty(num_columns) if needs_grad.bias else None
    columns_of = slices(num_columns, balanced_columns(num_columns, factors.shape[0]))
    for columns, factor in zip(columns_of, factors * grad_loss, strict=True):
        tile = exponentials[columns].to(operand)
        if grad_weight is not None:
            rows = torch.mul(hidden_states, factor[:, None]).to(operand)
            if operand == dtype:
                torch.mm(tile, rows, out=grad_weight[columns])
            else:
                grad_weight[columns] = tile @ rows
        if grad_bias is not None:
            grad_bias[columns] = _row_sums(tile.to(factor.dtype), factor)
    if grad_weight is not None:
        add_to_weight(grad_weight, at_target, hidden_states, targets)
    if grad_bias is None:
        return grad_weight, None
    add_to_bias(grad_bias, at_target, targets)
    return grad_weight, grad_bias.to(dtype)


def _row_sums(tile: Tensor, factor: Tensor) -> Tensor:
    """Return tile @ factor, (K, N) by (N,): in parts, as a vector product adds its terms one after another."""
    total = tile.new_zeros(tile.shape[0])
    for rows in slices(tile.shape[1], _RUN):
        total.addmv_(tile[:, rows], factor[rows])
    return total
