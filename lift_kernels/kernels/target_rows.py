"""Add what rows leave at their targets, in float32, to the gradient of a head.

Of a row's gradient for the logits, the target's entry is by far the largest, and a row of the head gets it from few
rows of hidden states. So it stays out of the matrix products, whose operands are rounded, and is added here. Rows are
sorted by target; one program takes all rows of a target, in their order: no atomics, and every call adds alike.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from lift_kernels.kernels.arithmetic import round_to
from lift_kernels.kernels.launch_configs import ADD_TARGET_ROWS


@triton.jit(do_not_specialize=["N"])
def _add_target_rows_kernel(
    rows_ptr, factor_ptr, targets_ptr, order_ptr, end_ptr, weight_ptr, bias_ptr,
    stride_rows_n, stride_weight_v, N, V, D,
    HAS_WEIGHT: tl.constexpr, HAS_BIAS: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    first = tl.program_id(0).to(tl.int64)
    target = tl.load(targets_ptr + first)
    before = tl.load(targets_ptr + first - 1, mask=first > 0, other=-1)
    if (target != before) & (target >= 0) & (target < V):  # the first row of its target
        end = tl.load(end_ptr + first)
        offs_d = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
        in_d = offs_d < D
        total = tl.zeros([BLOCK_D], tl.float32)
        factors = tl.zeros([BLOCK_N], tl.float32)
        for start in range(first, end, BLOCK_N):
            offs_n = start + tl.arange(0, BLOCK_N)
            in_n = offs_n < end
            i_n = tl.load(order_ptr + offs_n, mask=in_n, other=0)
            factor = tl.load(factor_ptr + i_n, mask=in_n, other=0.0)
            factors += factor
            if HAS_WEIGHT:
                rows = tl.load(
                    rows_ptr + i_n[:, None] * stride_rows_n + offs_d[None, :],
                    mask=in_n[:, None] & in_d[None, :],
                    other=0.0,
                )
                total += tl.sum(rows.to(tl.float32) * factor[:, None], 0)
        if HAS_WEIGHT:
            p_weight = weight_ptr + target * stride_weight_v + offs_d
            total += tl.load(p_weight, mask=in_d, other=0.0).to(tl.float32)
            tl.store(p_weight, round_to(total, weight_ptr.dtype.element_ty), mask=in_d)
        if HAS_BIAS:
            if tl.program_id(1) == 0:
                tl.store(bias_ptr + target, tl.load(bias_ptr + target) + tl.sum(factors, 0))


def add_target_rows(
    rows: Tensor,  # (N, D)
    factor: Tensor,  # (N,) float32
    targets: Tensor,  # (N,) int64; those outside [0, V) add nothing
    grad_weight: Tensor | None,  # (V, D)
    grad_bias: Tensor | None,  # (V,) float32
) -> None:
    """grad_weight[v] += sum of factor[i] * rows[i], and grad_bias[v] += sum of factor[i], over rows i with target v.

    The sums are float32, and a row of grad_weight is rounded once more.
    """
    num_rows, width = rows.shape
    gradient = grad_bias if grad_weight is None else grad_weight
    if num_rows == 0 or gradient is None:
        return
    ordered, order = torch.sort(targets, stable=True)
    ends = torch.searchsorted(ordered, ordered, right=True)
    num_blocks = 1 if grad_weight is None else triton.cdiv(width, ADD_TARGET_ROWS.blocks["BLOCK_D"])
    _add_target_rows_kernel[(num_rows, num_blocks)](
        rows if rows.stride(-1) == 1 else rows.contiguous(), factor, ordered, order, ends, grad_weight, grad_bias,
        rows.stride(0) if rows.stride(-1) == 1 else width, 0 if grad_weight is None else grad_weight.stride(0),
        num_rows, gradient.shape[0], width, HAS_WEIGHT=grad_weight is not None, HAS_BIAS=grad_bias is not None,
        **ADD_TARGET_ROWS.options,
    )  # fmt: skip
