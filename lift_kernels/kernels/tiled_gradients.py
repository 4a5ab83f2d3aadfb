"""Gradients of a linear head from saved statistics: the blocks of G, the sweeps over them, and the sums that they make.

G (`tiled_gradient`) exists for a block of rows and a slab of the vocabulary only, as an operand of the products G W and
G^T h, which add up in float32. The sum over the vocabulary needs slabs in the inner loop, the sum over rows needs rows
there. One sweep does both where a float32 (N, D) sum fits half the workspace; else each has its own, and the logits are
computed once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
import triton
from torch import Tensor

from lift_kernels.kernels.launch_configs import Launch, launch_config
from lift_kernels.kernels.plan import slices
from lift_kernels.kernels.products import SCRATCH_BYTES, ProductSum, needs_scratch
from lift_kernels.kernels.tiled_gradient import Rows, tiled_gradient
from lift_kernels.kernels.tiled_statistics import with_unit_stride
from lift_kernels.linear_head import Gradients, LinearHead, NeedsGrad, gradient_dtype

_LEAST = 128  # rows and columns of the smallest block
_USEFUL = 4096  # of the dimension that a product sums over, or its float32 sum is moved too often
_LARGEST_EXPONENT = 14  # float16 gradients are scaled to 2^14 at most: their range ends just below 2^16


@dataclass(frozen=True)
class Blocks:
    """Rows and columns of G that exist at a time; `columns` is a multiple of 128."""

    rows: int
    columns: int


def least_workspace_bytes(width: int, dtype: torch.dtype) -> int:
    """Return the least workspace that `tiled_gradients` keeps to where D = `width`; a bias takes 4 V bytes more."""
    return 2 * _least_block_bytes(width, dtype)


def plan_blocks(
    num_rows: int, num_columns: int, width: int, dtype: torch.dtype, needs_grad: NeedsGrad, workspace_bytes: int
) -> Blocks:
    """Return blocks for one sweep whose scratch stays within `workspace_bytes`, but never less than the least one."""
    per_logit, per_column = dtype.itemsize, 0
    if needs_grad.bias:
        workspace_bytes -= 4 * num_columns
        per_logit, per_column = per_logit + 1, 8  # tiles' sums: 4 bytes for 16 rows or more; and the sum of those
    per_sum = 0 if gradient_dtype(dtype) == torch.float32 else 4 * width
    if not needs_grad.weight:
        columns = min(num_columns, _USEFUL)
        rows = min(num_rows, _balanced(num_rows, workspace_bytes // (per_sum + columns * per_logit)))
        most_columns = (workspace_bytes - rows * per_sum) // (rows * per_logit + per_column)
        return Blocks(rows, _balanced(num_columns, most_columns))
    if needs_grad.hidden_states:
        workspace_bytes -= num_rows * per_sum
    most_columns = workspace_bytes // (num_rows * per_logit + per_column)
    if most_columns >= min(num_columns, _USEFUL // 4):
        return Blocks(num_rows, _balanced(num_columns, most_columns))
    per_column += per_sum
    columns = _balanced(num_columns, workspace_bytes // (per_column + min(num_rows, _USEFUL) * per_logit))
    most_rows = (workspace_bytes - columns * per_column) // (columns * per_logit)
    return Blocks(min(num_rows, _balanced(num_rows, most_rows)), columns)


def fits_one_sweep(num_rows: int, width: int, dtype: torch.dtype, workspace_bytes: int) -> bool:
    """Return whether hidden states and head can get their gradients from the same logits."""
    if gradient_dtype(dtype) == torch.float32:
        return True  # the sum over the vocabulary is the gradient itself
    sum_bytes = 4 * num_rows * width
    return sum_bytes <= min(workspace_bytes // 2, workspace_bytes - _least_block_bytes(width, dtype))


def _least_block_bytes(width: int, dtype: torch.dtype) -> int:
    return _LEAST * (_LEAST * (dtype.itemsize + 1) + 4 * width + 8)


def _balanced(length: int, most: int) -> int:
    """A multiple of `_LEAST`, at most `most`, that covers `length` in the fewest steps, as equal as can be."""
    most = max(_LEAST, most // _LEAST * _LEAST)
    return triton.cdiv(triton.cdiv(length, triton.cdiv(length, most)), _LEAST) * _LEAST


def tiled_gradients(
    hidden_states: Tensor,  # (N, D)
    head: LinearHead,
    targets: Tensor,  # (N,) int64
    token_weight: Tensor,  # (N,) float32
    lse: Tensor,  # (N,) float32
    log_prob: Tensor,  # (N,) float32
    needs_grad: NeedsGrad,
    *,
    workspace_bytes: int,
    launch: Launch | None = None,
) -> Gradients:
    """Return gradients of sum_i token_weight_i * nll_i in `gradient_dtype`; scratch memory within `workspace_bytes`."""
    rows = Rows.of_nll(hidden_states, targets, token_weight, lse, log_prob)
    return gradients_of_rows(rows, head, needs_grad, workspace_bytes=workspace_bytes, launch=launch)


def gradients_of_rows(
    rows: Rows,
    head: LinearHead,
    needs_grad: NeedsGrad,
    *,
    workspace_bytes: int,
    launch: Launch | None = None,
) -> Gradients:
    """Return gradients of the loss that `rows` describe, as `tiled_gradients` does."""
    hidden_states = rows.hidden_states
    (num_rows, width), num_columns = hidden_states.shape, head.weight.shape[0]
    dtype, device = hidden_states.dtype, hidden_states.device
    new = hidden_states.new_empty if num_rows else hidden_states.new_zeros
    gradients = Gradients(
        new((num_rows, width), dtype=gradient_dtype(dtype)) if needs_grad.hidden_states else None,
        new((num_columns, width), dtype=gradient_dtype(dtype)) if needs_grad.weight else None,
        hidden_states.new_zeros(num_columns, dtype=torch.float32) if needs_grad.bias else None,
    )
    scratch_bytes = min(SCRATCH_BYTES, workspace_bytes // 4) if needs_scratch(dtype, device) else 0
    workspace_bytes -= scratch_bytes
    sweeps = [gradients] if num_rows else []
    if needs_grad.hidden_states and needs_grad.weight and not fits_one_sweep(num_rows, width, dtype, workspace_bytes):
        sweeps = [Gradients(gradients.hidden_states), gradients._replace(hidden_states=None)]
    rows = rows._replace(hidden_states=with_unit_stride(hidden_states))
    head = head._replace(weight=with_unit_stride(head.weight))
    launch = launch or launch_config("tiled_gradient", dtype, device, num_rows, has_softcap=head.softcap is not None)
    for out in sweeps:
        is_out = NeedsGrad(*(gradient is not None for gradient in out[:3]))
        blocks = plan_blocks(num_rows, num_columns, width, dtype, is_out, workspace_bytes)
        _sweep(rows, head, out, blocks, launch, scratch_bytes)
    bias_sum = gradients.bias
    return gradients if bias_sum is None else gradients._replace(bias=bias_sum.to(gradient_dtype(dtype)))


def _sweep(
    rows: Rows, head: LinearHead, out: Gradients, blocks: Blocks, launch: Launch, scratch_bytes: int
) -> None:  # fmt: skip
    """Write the gradients that are there, and add to the bias', visiting each block once."""
    num_rows, num_columns = rows.hidden_states.shape[0], head.weight.shape[0]
    row_blocks, slabs = list(slices(num_rows, blocks.rows)), list(slices(num_columns, blocks.columns))
    hidden_sum = weight_sum = column_sums = None
    # A sum of one term needs no memory of its own: it is rounded as it is written.
    if out.hidden_states is not None:
        summed_rows = num_rows if out.weight is not None else blocks.rows
        hidden_sum = ProductSum(out.hidden_states, summed_rows if len(slabs) > 1 else 0, scratch_bytes)
    if out.weight is not None:
        weight_sum = ProductSum(out.weight, blocks.columns if len(row_blocks) > 1 else 0, scratch_bytes)
    if out.bias is not None:
        column_sums = out.bias.new_empty((triton.cdiv(blocks.rows, launch.blocks["BLOCK_N"]), blocks.columns))
    buffer = rows.hidden_states.new_empty((blocks.rows, blocks.columns))
    factor = _float16_factor(_largest_gradient(rows), head.scale) if buffer.dtype == torch.float16 else None

    visits = product(slabs, row_blocks) if weight_sum else ((c, r) for r, c in product(row_blocks, slabs))
    for columns, row_block in visits:
        block, slab = rows.part(row_block), _part(head, columns)
        gradient = buffer[: block.lse.shape[0], : slab.weight.shape[0]]
        sums = tiled_gradient(block, slab, columns.start, factor, gradient, column_sums, launch)
        if hidden_sum is not None:
            is_first, is_last = columns is slabs[0], columns is slabs[-1]
            hidden_sum.add(row_block, gradient, slab.weight, is_first=is_first, is_last=is_last)
        if weight_sum is not None:
            is_first, is_last = row_block is row_blocks[0], row_block is row_blocks[-1]
            weight_sum.add(columns, gradient.t(), block.hidden_states, is_first=is_first, is_last=is_last)
        if out.bias is not None and sums is not None:
            out.bias[columns] += sums
    if factor is not None:
        for product_sum in (hidden_sum, weight_sum):
            if product_sum is not None:
                product_sum.result /= factor


def _part(head: LinearHead, columns: slice) -> LinearHead:
    return head._replace(weight=head.weight[columns], bias=None if head.bias is None else head.bias[columns])


def _largest_gradient(rows: Rows) -> Tensor:
    """What no logit's gradient exceeds: p (log p + H) is above -1 / e, and no more than H."""
    largest = rows.token_weight.abs()
    if rows.entropy_weight is not None and rows.entropy is not None:
        largest = largest + rows.entropy_weight.abs() * torch.clamp(rows.entropy, min=1.0)
    return largest if rows.target_gradient is None else torch.maximum(largest, rows.target_gradient.abs())


def _float16_factor(token_weight: Tensor, scale: float) -> Tensor:
    """The power of two, 0-d float32, that brings the largest possible gradient just below 2^14."""
    exponent = torch.frexp(token_weight.abs().amax() * abs(scale)).exponent
    # From its bits, so that it is exact on every device, and finite whatever the weights are.
    return ((127 + _LARGEST_EXPONENT - exponent).clamp(1, 254) << 23).view(torch.float32)
