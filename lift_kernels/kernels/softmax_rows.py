"""Softmax statistics and unnormalised gradients of logits that a matrix product left in memory.

Each logit is read once. A row keeps a reference r near its largest logit so far; what the gradient's products need is
written as exp(z - r), and the row's factor token_weight / sum exp(z - r) is applied to the products' rows afterwards.
So no second reading of the logits is needed to normalise them, and bfloat16 keeps the same number of digits of every
exponential. r moves only when a logit passes it by HEADROOM nats, which after the first block is rare: then what was
written is scaled down in place. (The trick of moving the reference lazily is FlashAttention-4's.)
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from lift_kernels.kernels.arithmetic import LOWEST, expm1, head_logits, logit_slope, round_to
from lift_kernels.kernels.launch_configs import COLUMN_SUMS, SET_TARGET_COLUMN, Launch
from lift_kernels.kernels.partial_statistics import SUM, TARGET_LOGIT, PartialStatistics
from lift_kernels.linear_head import LinearHead

# exp(20) times a vocabulary of a million is far from the largest bfloat16 or float32.
HEADROOM = tl.constexpr(20.0)


# Columns are specialised on their divisibility, unlike N: the loads are vectors only where 16 divides them.
@triton.jit(do_not_specialize=["N"])
def _softmax_rows_kernel(
    products_ptr, exponentials_ptr, bias_ptr, targets_ptr, statistics_ptr, argmax_ptr,
    stride_products_n, stride_exponentials_n,
    N, first_column, num_columns, logit_scale, logit_softcap,
    HAS_BIAS: tl.constexpr, HAS_SOFTCAP: tl.constexpr, HAS_TARGETS: tl.constexpr, HAS_EXPONENTIALS: tl.constexpr,
    ALL_STATS: tl.constexpr, BLOCK_V: tl.constexpr,
):  # fmt: skip
    i_n = tl.program_id(0).to(tl.int64)
    p_products = products_ptr + i_n * stride_products_n
    p_statistics = statistics_ptr + i_n
    stride_statistics = N.to(tl.int64)

    if first_column == 0:
        reference, sum_before, weighted_sum_before = LOWEST, 0.0, 0.0
        largest, target_logit, argmax = -float("inf"), -float("inf"), 0
    else:
        reference = tl.load(p_statistics)
        sum_before = tl.load(p_statistics + stride_statistics)
        weighted_sum_before = tl.load(p_statistics + 2 * stride_statistics)
        largest = tl.load(p_statistics + 3 * stride_statistics)
        target_logit = tl.load(p_statistics + 4 * stride_statistics)
        argmax = tl.load(argmax_ptr + i_n)

    sums = tl.zeros([BLOCK_V], tl.float32)
    weighted_sums = tl.zeros([BLOCK_V], tl.float32)
    for start in range(0, num_columns, BLOCK_V):
        offs_v = start + tl.arange(0, BLOCK_V)
        in_v = offs_v < num_columns
        product = tl.load(p_products + offs_v, mask=in_v, other=0.0)
        bias = 0.0
        if HAS_BIAS:
            bias = tl.load(bias_ptr + first_column + offs_v, mask=in_v, other=0.0).to(tl.float32)
        logits = head_logits(product, bias, logit_scale, logit_softcap, HAS_BIAS, HAS_SOFTCAP)
        z = tl.where(in_v, logits, -float("inf"))
        block_largest = tl.max(z, 0)
        if block_largest > reference + HEADROOM:
            shift = reference - block_largest
            shrink = tl.exp(shift)
            weighted_sums = (weighted_sums + shift * sums) * shrink
            weighted_sum_before = (weighted_sum_before + shift * sum_before) * shrink
            sums *= shrink
            sum_before *= shrink
            if HAS_EXPONENTIALS:
                _shrink_columns(exponentials_ptr + i_n * stride_exponentials_n, first_column + start, shrink, BLOCK_V)
            reference = block_largest
        if block_largest > largest:
            largest = block_largest
            if ALL_STATS:
                argmax = first_column + tl.min(tl.where(z == block_largest, offs_v, num_columns), 0)
        centred = tl.where(z < LOWEST, LOWEST, z - reference)  # of -inf: 0 * -inf is nan
        exponentials = tl.exp(centred)
        sums += exponentials
        if ALL_STATS:
            weighted_sums += centred * exponentials
        if HAS_EXPONENTIALS:
            if HAS_SOFTCAP:
                exponentials *= logit_slope(logits, logit_softcap)
            tl.store(
                exponentials_ptr + i_n * stride_exponentials_n + first_column + offs_v,
                round_to(exponentials, exponentials_ptr.dtype.element_ty),
                mask=in_v,
            )

    if HAS_TARGETS:
        column = tl.load(targets_ptr + i_n) - first_column
        is_here = (column >= 0) & (column < num_columns)
        product = tl.load(p_products + column, mask=is_here, other=0.0)
        bias = 0.0
        if HAS_BIAS:
            bias = tl.load(bias_ptr + first_column + column, mask=is_here, other=0.0).to(tl.float32)
        z = head_logits(product, bias, logit_scale, logit_softcap, HAS_BIAS, HAS_SOFTCAP)
        target_logit = tl.where(is_here, z, target_logit)
    tl.store(p_statistics, reference)
    tl.store(p_statistics + stride_statistics, sum_before + tl.sum(sums, 0))
    tl.store(p_statistics + 2 * stride_statistics, weighted_sum_before + tl.sum(weighted_sums, 0))
    tl.store(p_statistics + 3 * stride_statistics, largest)
    tl.store(p_statistics + 4 * stride_statistics, target_logit)
    tl.store(argmax_ptr + i_n, argmax)


@triton.jit
def _shrink_columns(row_ptr, num_columns, factor, BLOCK_V: tl.constexpr):
    """Multiply the first columns of a row: of the ones that this program wrote, or an earlier launch."""
    # What one thread of this program stored, another may read. (gfx9 also waits for stores where it waits for loads.)
    tl.debug_barrier()
    for start in range(0, num_columns, BLOCK_V):
        offs_v = start + tl.arange(0, BLOCK_V)
        in_v = offs_v < num_columns
        values = tl.load(row_ptr + offs_v, mask=in_v, other=0.0).to(tl.float32)
        tl.store(row_ptr + offs_v, round_to(values * factor, row_ptr.dtype.element_ty), mask=in_v)
    tl.debug_barrier()


def softmax_rows(
    products: Tensor,  # (N, K) float32: hidden_states @ weight[columns].T
    columns: slice,  # K vocabulary entries; a row's first ones come first
    head: LinearHead,
    targets: Tensor | None,  # (N,) int64
    statistics: PartialStatistics,  # of one part, updated
    exponentials: Tensor | None,  # (N, V) in the dtype of the gradient's products; `columns` of it are written
    launch: Launch,
    *,
    all_stats: bool,
) -> None:
    """Take the logits of `columns` into each row's statistics, and write their exponentials."""
    num_rows, num_columns = products.shape
    if num_rows == 0:
        return
    _softmax_rows_kernel[(num_rows,)](
        products, exponentials, head.bias, targets, statistics.values, statistics.argmax,
        products.stride(0), 0 if exponentials is None else exponentials.stride(0),
        num_rows, columns.start, num_columns, head.scale, head.softcap or 0.0,
        HAS_BIAS=head.bias is not None, HAS_SOFTCAP=head.softcap is not None, HAS_TARGETS=targets is not None,
        HAS_EXPONENTIALS=exponentials is not None, ALL_STATS=all_stats,
        **launch.options,
    )  # fmt: skip


@triton.jit(do_not_specialize=["N"])
def _set_target_column_kernel(
    exponentials_ptr, targets_ptr, log_prob_ptr, statistics_ptr, row_factor_ptr, stride_exponentials_n,
    N, logit_scale, logit_softcap,
    HAS_SOFTCAP: tl.constexpr, SUM: tl.constexpr, TARGET_LOGIT: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    offs_n = tl.program_id(0).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    in_n = offs_n < N
    total = tl.load(statistics_ptr + SUM * N.to(tl.int64) + offs_n, mask=in_n, other=1.0)
    target_logit = tl.load(statistics_ptr + TARGET_LOGIT * N.to(tl.int64) + offs_n, mask=in_n, other=0.0)
    # total * (p - 1), which the row's factor turns into p - 1 without ever having subtracted two rounded numbers.
    value = total * expm1(tl.load(log_prob_ptr + offs_n, mask=in_n, other=0.0))
    if HAS_SOFTCAP:
        value *= logit_slope(target_logit, logit_softcap)
    target = tl.load(targets_ptr + offs_n, mask=in_n, other=0)
    is_there = in_n & (target_logit > -float("inf"))  # a target outside the vocabulary has no column
    tl.store(
        exponentials_ptr + offs_n * stride_exponentials_n + target,
        round_to(value, exponentials_ptr.dtype.element_ty),
        mask=is_there,
    )
    tl.store(row_factor_ptr + offs_n, logit_scale / total, mask=in_n)


def set_target_column(
    exponentials: Tensor,  # (N, V)
    targets: Tensor,  # (N,)
    log_prob: Tensor,  # (N,)
    statistics: PartialStatistics,
    head: LinearHead,
) -> Tensor:
    """Turn exponentials into unnormalised gradients of nll: (N,) factors that normalise their rows are returned."""
    num_rows = targets.shape[0]
    factor = log_prob.new_empty(num_rows)
    if num_rows:
        _set_target_column_kernel[(triton.cdiv(num_rows, SET_TARGET_COLUMN.blocks["BLOCK_N"]),)](
            exponentials, targets, log_prob, statistics.values, factor, exponentials.stride(0),
            num_rows, head.scale, head.softcap or 0.0,
            HAS_SOFTCAP=head.softcap is not None, SUM=SUM, TARGET_LOGIT=TARGET_LOGIT,
            **SET_TARGET_COLUMN.options,
        )  # fmt: skip
    return factor


@triton.jit(do_not_specialize=["N"])
def _weighted_column_sums_kernel(
    rows_ptr, weight_ptr, out_ptr, stride_rows_n, N, V, ACCUMULATE: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_V: tl.constexpr,
):  # fmt: skip
    offs_v = tl.program_id(0) * BLOCK_V + tl.arange(0, BLOCK_V)
    in_v = offs_v < V
    total = tl.zeros([BLOCK_V], tl.float32)
    for start in range(0, N, BLOCK_N):
        offs_n = start + tl.arange(0, BLOCK_N)
        in_n = offs_n < N
        values = tl.load(
            rows_ptr + offs_n.to(tl.int64)[:, None] * stride_rows_n + offs_v[None, :],
            mask=in_n[:, None] & in_v[None, :],
            other=0.0,
        ).to(tl.float32)
        total += tl.sum(values * tl.load(weight_ptr + offs_n, mask=in_n, other=0.0)[:, None], 0)
    if ACCUMULATE:
        total += tl.load(out_ptr + offs_v, mask=in_v, other=0.0)
    tl.store(out_ptr + offs_v, total, mask=in_v)


def weighted_column_sums(rows: Tensor, weight: Tensor, out: Tensor, *, accumulate: bool) -> None:
    """Write out[v] (+)= sum_n weight[n] * rows[n, v] in float32, in a fixed order: (N, V), (N,) -> (V,)."""
    num_rows, num_columns = rows.shape
    _weighted_column_sums_kernel[(triton.cdiv(num_columns, COLUMN_SUMS.blocks["BLOCK_V"]),)](
        rows, weight, out, rows.stride(0), num_rows, num_columns, ACCUMULATE=accumulate,
        **COLUMN_SUMS.options,
    )  # fmt: skip
