"""The gradient of a head from exponentials and row factors: in the forward pass, or deferred to the backward pass.

With E the exponentials, a the row factors, t the target factors, h the rows and g the gradient of the loss,

    grad weight = g (E^T (a h) + sum_i t_i h_i at row y_i)        grad bias = g (sum_i a_i E_i + sum_i t_i at y_i)

Deferred, g enters through the row factors before anything is rounded, and E takes the place of a gradient that it is no
larger than: nothing is read and written to scale it. Of several chunks of rows, the last one's product is deferred,
beside the float32 sum of all else.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lift_kernels.kernels import products
from lift_kernels.kernels.head_products import weight_product
from lift_kernels.kernels.plan import column_pieces, even_columns
from lift_kernels.kernels.rows import Addend, copy_rows
from lift_kernels.kernels.softmax_rows import weighted_column_sums
from lift_kernels.kernels.target_rows import add_target_rows
from lift_kernels.kernels.waves import best_columns, num_multiprocessors
from lift_kernels.linear_head import NeedsGrad

_STRIP_BYTES = 48 << 20  # of float32 products, which the second-level cache holds in good part until they are rounded


class Chunk(NamedTuple):
    """Rows whose gradients for the logits are factor_i * E_i, and target_factor_i beside that at their targets."""

    exponentials: Tensor  # (C, row_stride), 0 at the targets and, where a product takes them in, beyond the vocabulary
    hidden_states: Tensor  # (C, D)
    targets: Tensor  # (C,)
    factor: Tensor  # (C,) float32, token weights included
    target_factor: Tensor  # (C,) float32, likewise

    def add_to(self, grad_weight: Tensor | None, grad_bias: Tensor | None, scaled: Tensor, *, is_first: bool) -> None:
        """Add, or write where `is_first`, this chunk's part; `scaled`: memory like hidden_states.

        grad_weight (V, D) is float32 where chunks add up, else the rows' dtype; grad_bias (V,) is float32.
        """
        if grad_weight is not None:
            copy_rows(self.hidden_states, scaled, scale=self.factor)
            weight_product(self.exponentials, scaled, grad_weight, accumulate=not is_first)
        self.add_bias(grad_bias, is_first=is_first)
        self.add_targets(grad_weight, grad_bias)

    def add_targets(self, grad_weight: Tensor | None, grad_bias: Tensor | None) -> None:
        """Add what the rows leave at their targets; where grad_weight is not float32, those rows are rounded again.

        Twice is within the accuracy rules, sqrt(2) of once. To round them once, all of the product would have to be
        formed in float32 strips, as `write_rounded` does: five times the bytes, and a launch more for each strip.
        """
        add_target_rows(self.hidden_states, self.target_factor, self.targets, grad_weight, grad_bias)

    def write_rounded(self, grad_weight: Tensor, weight_sum: Tensor, scale: Tensor) -> None:
        """grad_weight = scale * weight_sum + the product of this chunk, rounded once: (V, D)."""
        num_columns, width = weight_sum.shape
        scaled = copy_rows(self.hidden_states, torch.empty_like(self.hidden_states), scale=self.factor)
        processors = num_multiprocessors(scaled.device)
        step = best_columns(width, scaled.shape[0], num_columns, max(1, _STRIP_BYTES // (4 * width)), processors)
        strip = weight_sum.new_empty((max(step, 64), width))
        for columns in column_pieces(num_columns, step):
            # The last columns of an odd vocabulary come with the zeros that follow them.
            stop = columns.stop if columns.stop <= even_columns(num_columns) else self.exponentials.shape[1]
            exponentials = self.exponentials[:, columns.start : stop]
            product = strip[: exponentials.shape[1]]
            products.multiply(exponentials.t(), scaled, product)
            copy_rows(weight_sum[columns], grad_weight[columns], scale=scale, addend=Addend(product))

    def add_bias(self, grad_bias: Tensor | None, *, is_first: bool) -> None:
        """Add to grad_bias (V,) float32, or write where `is_first`, what the rows leave beside their targets."""
        if grad_bias is not None:
            exponentials = self.exponentials[:, : grad_bias.shape[0]]
            weighted_column_sums(exponentials, self.factor, grad_bias, accumulate=not is_first)


class Deferred(NamedTuple):
    """What the gradient of a head is formed from in the backward pass; no field is None, so that all can be saved."""

    exponentials: Tensor
    hidden_states: Tensor
    targets: Tensor
    factor: Tensor
    target_factor: Tensor
    # Float32 sums of the chunks before, and of all chunks' targets; (V, 0) and (0,) where there is one chunk.
    weight_sum: Tensor  # (V, D)
    bias_sum: Tensor  # (V,)

    @classmethod
    def of(cls, chunk: Chunk, num_columns: int, weight_sum: Tensor | None, bias_sum: Tensor | None) -> Deferred:
        def nothing(*shape: int) -> Tensor:
            return chunk.factor.new_empty(shape)

        if weight_sum is not None:
            chunk.add_targets(weight_sum, bias_sum)
        return cls(
            *chunk,
            nothing(num_columns, 0) if weight_sum is None else weight_sum,
            nothing(0) if bias_sum is None else bias_sum,
        )

    def gradients(self, grad_loss: Tensor, needs_grad: NeedsGrad) -> tuple[Tensor | None, Tensor | None]:
        """Return the gradients of weight and bias; `grad_loss` is 0-d."""
        (num_columns, sum_width), rows = self.weight_sum.shape, self.hidden_states
        chunk = Chunk(*self[:5])._replace(
            factor=self.factor * grad_loss, target_factor=self.target_factor * grad_loss
        )  # fmt: skip
        grad_weight = rows.new_empty((num_columns, rows.shape[1])) if needs_grad.weight else None
        grad_bias = self.factor.new_zeros(num_columns) if needs_grad.bias else None
        if sum_width == 0:
            chunk.add_to(grad_weight, grad_bias, torch.empty_like(rows), is_first=True)
        else:
            if grad_weight is not None:
                chunk.write_rounded(grad_weight, self.weight_sum, grad_loss)
            if grad_bias is not None:
                torch.mul(self.bias_sum, grad_loss, out=grad_bias)
            chunk.add_bias(grad_bias, is_first=False)
        return grad_weight, None if grad_bias is None else grad_bias.to(rows.dtype)
