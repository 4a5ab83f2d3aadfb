"""Gradients of statistics: of a loss that takes log-probabilities, log-sum-exps and entropies of rows.

With p = softmax(z), H the entropy and g the loss' gradients for the three, the gradient for logit v is

    p_v (g_lse - g_log_prob - g_entropy (log p_v + H))    and at the target    g_log_prob more:

a row's three numbers are the two of `Rows`, and what its target gets, in which nothing near 1 is subtracted from 1.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from lift_kernels.kernels.arithmetic import LEAST_LOG_PROB, head_logits, logit_slope, round_to
from lift_kernels.kernels.launch_configs import ROW_GRADIENTS
from lift_kernels.kernels.tiled_gradient import Rows
from lift_kernels.linear_head import LinearHead, RowStats, StatsGrad


def rows_of_stats(hidden_states: Tensor, targets: Tensor | None, stats: RowStats, grad: StatsGrad) -> Rows:
    """Return what makes the gradients of sum_i of grad's entries times the statistics' (`gradients_of_rows`)."""
    zero = torch.zeros_like(stats.lse)
    grad_lse = zero if grad.lse is None else grad.lse
    weight, target_gradient = grad_lse, zero
    entropy = None if grad.entropy is None else stats.entropy
    if targets is None:
        return Rows(hidden_states, targets, weight, stats.lse, None, grad.entropy, entropy)
    log_prob = stats.log_prob
    if grad.log_prob is not None:
        weight = weight - grad.log_prob
        target_gradient = -grad.log_prob * torch.expm1(log_prob)
    at_target = grad_lse
    if grad.entropy is not None:
        at_target = at_target - grad.entropy * (log_prob.clamp(min=LEAST_LOG_PROB.value) + stats.entropy)
    target_gradient = target_gradient + log_prob.exp() * at_target
    return Rows(hidden_states, targets, weight, stats.lse, target_gradient, grad.entropy, entropy)


# Columns are specialised on their divisibility: the accesses are vectors only where 16 divides them.
@triton.jit(do_not_specialize=["exclude_index"])
def _row_gradients_kernel(
    products_ptr, bias_ptr, targets_ptr, token_weight_ptr, entropy_weight_ptr, entropy_ptr, lse_ptr,
    target_gradient_ptr, target_factor_ptr, gradient_ptr,
    stride_products_n, stride_gradient_n,
    first_column, num_columns, exclude_index, logit_scale, logit_softcap,
    HAS_BIAS: tl.constexpr, HAS_SOFTCAP: tl.constexpr, HAS_TARGETS: tl.constexpr, HAS_EXCLUDED: tl.constexpr,
    HAS_ENTROPY: tl.constexpr, BLOCK_V: tl.constexpr,
):  # fmt: skip
    i_n = tl.program_id(0).to(tl.int64)
    offs_v = tl.program_id(1) * BLOCK_V + tl.arange(0, BLOCK_V)
    in_v = offs_v < num_columns
    product = tl.load(products_ptr + i_n * stride_products_n + offs_v, mask=in_v, other=0.0)
    bias = 0.0
    if HAS_BIAS:
        bias = tl.load(bias_ptr + first_column + offs_v, mask=in_v, other=0.0).to(tl.float32)
    logits = head_logits(product, bias, logit_scale, logit_softcap, HAS_BIAS, HAS_SOFTCAP)
    log_probs = logits - tl.load(lse_ptr + i_n)
    weight = tl.load(token_weight_ptr + i_n)
    if HAS_ENTROPY:
        # The sum first: both terms are far larger than it. And 0 * -inf would be nan.
        surprise = tl.maximum(log_probs, LEAST_LOG_PROB) + tl.load(entropy_ptr + i_n)
        weight = weight - tl.load(entropy_weight_ptr + i_n) * surprise
    slope = logit_scale
    if HAS_SOFTCAP:
        slope *= logit_slope(logits, logit_softcap)
    gradient = tl.exp(log_probs) * weight * slope
    if HAS_TARGETS:
        is_target = offs_v == tl.load(targets_ptr + i_n) - first_column
        at_target = tl.load(target_gradient_ptr + i_n) * slope
        tl.store(target_factor_ptr + i_n + 0 * offs_v, tl.broadcast_to(at_target, (BLOCK_V,)), mask=is_target & in_v)
        gradient = tl.where(is_target, 0.0, gradient)
    if HAS_EXCLUDED:
        gradient = tl.where(offs_v == exclude_index - first_column, 0.0, gradient)
    tl.store(
        gradient_ptr + i_n * stride_gradient_n + first_column + offs_v,
        round_to(gradient, gradient_ptr.dtype.element_ty),
        mask=in_v,
    )


def row_gradients(
    products: Tensor,  # (N, K) float32: hidden_states @ weight[columns].T
    columns: slice,  # K vocabulary entries
    rows: Rows,  # N of them
    head: LinearHead,
    gradient: Tensor,  # (N, V); `columns` of it are written
    target_factor: Tensor | None,  # (N,) float32; written where the target is among the columns
) -> None:
    """Write the gradient for the products, but 0 at the target, whose own goes to `target_factor`."""
    num_rows, num_columns = products.shape
    if num_rows == 0:
        return
    _row_gradients_kernel[(num_rows, triton.cdiv(num_columns, ROW_GRADIENTS.blocks["BLOCK_V"]))](
        products, head.bias, rows.targets, rows.token_weight, rows.entropy_weight, rows.entropy, rows.lse,
        rows.target_gradient, target_factor, gradient,
        products.stride(0), gradient.stride(0), columns.start, num_columns,
        -1 if head.exclude_index is None else head.exclude_index, head.scale, head.softcap or 0.0,
        HAS_BIAS=head.bias is not None, HAS_SOFTCAP=head.softcap is not None, HAS_TARGETS=rows.targets is not None,
        HAS_EXCLUDED=head.exclude_index is not None, HAS_ENTROPY=rows.entropy_weight is not None,
        **ROW_GRADIENTS.options,
    )  # fmt: skip
