"""The matrix products of a linear head, kept on cuBLAS' fast kernels for every size of the vocabulary.

Where `plan.even_columns` says so, the last rows of the head are a product of their own, with a copy of them that zeros
fill up to 64, and the exponentials' columns beyond the vocabulary are zeros too.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels.kernels import products
from lift_kernels.kernels.plan import even_columns, row_stride
from lift_kernels.kernels.rows import Addend, copy_rows
from lift_kernels.kernels.workspace import Part


class HeadWeight:
    """A head's weight (V, D), its last rows filled up where they are multiplied apart."""

    def __init__(self, weight: Tensor, last_rows: Tensor | None) -> None:
        """`last_rows`: memory as `last_rows_part` says, which is filled."""
        self.weight, self.last_rows = weight, last_rows
        self.even = even_columns(weight.shape[0])
        if last_rows is not None:
            last_rows.zero_()
            last_rows[: weight.shape[0] - self.even] = weight[self.even :]

    def products(self, hidden_states: Tensor, columns: slice, buffer: Tensor) -> Tensor:
        """hidden_states @ weight[columns].T: (C, D) -> (C, K) float32 in `buffer`, one of `plan.column_pieces`."""
        weight = self.weight[columns]
        if columns.start == self.even and self.last_rows is not None:
            weight = self.last_rows
        num_rows = hidden_states.shape[0]
        out = buffer[: num_rows * weight.shape[0]].view(num_rows, -1)
        products.multiply(hidden_states, weight.t(), out)
        return out[:, : columns.stop - columns.start]

    def hidden_product(self, exponentials: Tensor, out: Tensor) -> None:
        """out = exponentials @ weight: (C, row_stride) -> (C, D) float32."""
        products.multiply(exponentials[:, : self.even], self.weight[: self.even], out)
        if self.last_rows is not None:
            products.multiply(exponentials[:, self.even :], self.last_rows, out, accumulate=True)


def last_rows_part(weight: Tensor) -> Part | None:
    """What memory `HeadWeight` takes for the last rows of a head; None where it needs none."""
    num_columns, width = weight.shape
    even = even_columns(num_columns)
    return None if even == num_columns else Part((row_stride(num_columns) - even, width), weight.dtype)


def clear_padding(exponentials: Tensor, num_columns: int) -> None:
    """Fill the columns of (C, row_stride) beyond the vocabulary with zeros where a product takes them in."""
    if even_columns(num_columns) < num_columns:
        exponentials[:, num_columns:] = 0


def weight_product(exponentials: Tensor, rows: Tensor, out: Tensor, *, accumulate: bool = False) -> None:
    """out (+)= exponentials.T @ rows: (C, row_stride), (C, D) -> (V, D)."""
    num_columns = out.shape[0]
    even = even_columns(num_columns)
    products.multiply(exponentials[:, :even].t(), rows, out[:even], accumulate=accumulate)
    if even < num_columns:
        last = out.new_empty((exponentials.shape[1] - even, out.shape[1]), dtype=torch.float32)
        products.multiply(exponentials[:, even:].t(), rows, last)
        copy_rows(last, out[even:], addend=Addend(out[even:]) if accumulate else None)
