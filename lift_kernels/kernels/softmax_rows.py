"""Softmax statistics and unnormalised gradients of logits that a matrix product left in memory.

Each logit is read once. A row keeps a reference r near the largest of its logits so far; what the gradient's products
need is written as 2^(z - r), and the row's factor token_weight / sum 2^(z - r) is applied to the products' rows
afterwards. So no second reading of the logits is needed to normalise them, and bfloat16 keeps the same number of digits
of every exponential. r moves only when a logit passes it by HEADROOM bits, which after the first block is rare: then
what was written is scaled down in place. (The trick of moving the reference lazily is FlashAttention-4's.)

The target takes part in neither the sums nor their reference, and 0 is written for it. What its column adds to the
gradients is by far the largest term: callers add it in float32 (`finish_rows`).
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from lift_kernels.kernels.arithmetic import LOG2_E, LOWEST, head_logits, logit_slope, round_to, sum_of_fours
from lift_kernels.kernels.launch_configs import COLUMN_SUMS, FINISH_ROWS, Launch, narrowed
from lift_kernels.kernels.partial_statistics import (
    MAX,
    NUM_ABOVE,
    REFERENCE,
    RUNNER_UP,
    SUM,
    TARGET_LOGIT,
    WEIGHTED_SUM,
    PartialStatistics,
)
from lift_kernels.linear_head import LinearHead

# 2^29 times a vocabulary of a million is far from the largest bfloat16 or float32.
HEADROOM = tl.constexpr(29.0)


# Columns are specialised on their divisibility, unlike N: the loads are vectors only where 16 divides them.
@triton.jit(do_not_specialize=["N", "exclude_index"])
def _softmax_rows_kernel(
    products_ptr, exponentials_ptr, bias_ptr, targets_ptr, thresholds_ptr, statistics_ptr, argmax_ptr,
    stride_products_n, stride_exponentials_n,
    N, first_column, num_columns, exclude_index, logit_scale, logit_softcap,
    HAS_BIAS: tl.constexpr, HAS_SOFTCAP: tl.constexpr, HAS_TARGETS: tl.constexpr, HAS_EXCLUDED: tl.constexpr,
    HAS_EXPONENTIALS: tl.constexpr, HAS_RUNNER_UP: tl.constexpr, HAS_RANK: tl.constexpr, ALL_STATS: tl.constexpr,
    BLOCK_V: tl.constexpr,
):  # fmt: skip
    i_n = tl.program_id(0).to(tl.int64)
    p_products = products_ptr + i_n * stride_products_n
    p_statistics = statistics_ptr + i_n
    plane = N.to(tl.int64)

    # Before anything that has to be waited for; and in the loop the next block before this one's arithmetic.
    block = tl.arange(0, BLOCK_V)
    product = tl.load(p_products + block, mask=block < num_columns, other=0.0)
    if HAS_TARGETS:
        target = tl.load(targets_ptr + i_n) - first_column
        is_here = (target >= 0) & (target < num_columns)
        column = tl.where(is_here, target, -1).to(tl.int32)
        target_product = tl.load(p_products + column, mask=is_here, other=0.0)

    reference, sum_before = LOWEST, 0.0
    largest, runner_up, target_logit = -float("inf"), -float("inf"), -float("inf")
    weighted_sum_before, argmax = 0.0, 0
    if first_column > 0:
        reference = tl.load(p_statistics + REFERENCE * plane)
        sum_before = tl.load(p_statistics + SUM * plane)
        largest = tl.load(p_statistics + MAX * plane)
        target_logit = tl.load(p_statistics + TARGET_LOGIT * plane)
        if ALL_STATS:
            weighted_sum_before = tl.load(p_statistics + WEIGHTED_SUM * plane)
            argmax = tl.load(argmax_ptr + i_n)
        if HAS_RUNNER_UP:
            runner_up = tl.load(p_statistics + RUNNER_UP * plane)
    if HAS_RANK:
        threshold = tl.load(thresholds_ptr + i_n)
        num_above = tl.load(p_statistics + NUM_ABOVE * plane, mask=first_column > 0, other=0.0)

    sums = tl.zeros([BLOCK_V // 4], tl.float32)
    if ALL_STATS:
        weighted_sums = tl.zeros([BLOCK_V // 4], tl.float32)
    for start in range(0, num_columns, BLOCK_V):
        offs_v = start + block
        in_v = offs_v < num_columns
        bias = 0.0
        if HAS_BIAS:
            bias = tl.load(bias_ptr + first_column + offs_v, mask=in_v, other=0.0).to(tl.float32)
        logits = head_logits(product, bias, logit_scale, logit_softcap, HAS_BIAS, HAS_SOFTCAP)
        offs_next = offs_v + BLOCK_V
        product = tl.load(p_products + offs_next, mask=offs_next < num_columns, other=0.0)
        takes_part = in_v
        if HAS_TARGETS:
            takes_part &= offs_v != column
        if HAS_EXCLUDED:
            takes_part &= offs_v != exclude_index - first_column
        z = tl.where(takes_part, logits, -float("inf"))
        block_largest = tl.max(z, 0)
        if HAS_RANK:
            num_above += tl.sum((z > threshold).to(tl.float32), 0)
        if block_largest > reference + HEADROOM:
            shift = reference - block_largest
            shrink = tl.exp2(shift)
            if ALL_STATS:
                weighted_sums = (weighted_sums + shift * sums) * shrink
                weighted_sum_before = (weighted_sum_before + shift * sum_before) * shrink
            sums *= shrink
            sum_before *= shrink
            if HAS_EXPONENTIALS:
                _shrink_columns(exponentials_ptr + i_n * stride_exponentials_n, first_column + start, shrink, BLOCK_V)
            reference = block_largest
        if HAS_RUNNER_UP:
            if block_largest > runner_up:
                first = tl.min(tl.where(z == block_largest, block, BLOCK_V), 0)
                second = tl.max(tl.where(block == first, -float("inf"), z), 0)
                runner_up = tl.maximum(runner_up, tl.maximum(second, tl.minimum(block_largest, largest)))
        if ALL_STATS:
            if block_largest > largest:
                argmax = first_column + start + tl.min(tl.where(z == block_largest, block, BLOCK_V), 0)
        largest = tl.maximum(largest, block_largest)
        centred = z - reference
        exponentials = tl.exp2(centred)
        sums += sum_of_fours(exponentials)
        if ALL_STATS:
            weighted_sums += sum_of_fours(tl.maximum(centred, LOWEST) * exponentials)  # of -inf: 0 * -inf is nan
        if HAS_EXPONENTIALS:
            if HAS_SOFTCAP:
                # From z, so that the logits need not stay in registers; at -softcap, unlike -inf, the slope is 0.
                exponentials *= logit_slope(tl.maximum(z, -logit_softcap), logit_softcap)
            tl.store(
                exponentials_ptr + i_n * stride_exponentials_n + first_column + offs_v,
                round_to(exponentials, exponentials_ptr.dtype.element_ty),
                mask=in_v,
            )

    if HAS_TARGETS:
        bias = 0.0
        if HAS_BIAS:
            bias = tl.load(bias_ptr + first_column + column, mask=is_here, other=0.0).to(tl.float32)
        if is_here:
            target_logit = head_logits(target_product, bias, logit_scale, logit_softcap, HAS_BIAS, HAS_SOFTCAP)
            if HAS_RUNNER_UP:
                runner_up = tl.maximum(runner_up, tl.minimum(largest, target_logit))
            if ALL_STATS:
                is_first = (target_logit > largest) | ((target_logit == largest) & (first_column + column < argmax))
                argmax = tl.where(is_first, first_column + column, argmax)
            largest = tl.where(target_logit > largest, target_logit, largest)
    if ALL_STATS:
        weighted_sum_before += tl.sum(weighted_sums, 0)
    tl.store(p_statistics + REFERENCE * plane, reference)
    tl.store(p_statistics + SUM * plane, sum_before + tl.sum(sums, 0))
    tl.store(p_statistics + WEIGHTED_SUM * plane, weighted_sum_before)
    tl.store(p_statistics + MAX * plane, largest)
    tl.store(p_statistics + TARGET_LOGIT * plane, target_logit)
    tl.store(argmax_ptr + i_n, argmax)
    if HAS_RUNNER_UP:
        tl.store(p_statistics + RUNNER_UP * plane, runner_up)
    if HAS_RANK:
        tl.store(p_statistics + NUM_ABOVE * plane, num_above)


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
    thresholds: Tensor | None = None,  # (N,) of `target_thresholds`, where the statistics have a rank
) -> None:
    """Take the logits of `columns` into each row's statistics, and write their exponentials: 0 at the target."""
    num_rows, num_columns = products.shape
    if num_rows == 0:
        return
    _softmax_rows_kernel[(num_rows,)](
        products, exponentials, head.bias, targets, thresholds, statistics.values, statistics.argmax,
        products.stride(0), 0 if exponentials is None else exponentials.stride(0),
        num_rows, columns.start, num_columns, -1 if head.exclude_index is None else head.exclude_index,
        head.scale * LOG2_E, (head.softcap or 0.0) * LOG2_E,
        HAS_BIAS=head.bias is not None, HAS_SOFTCAP=head.softcap is not None, HAS_TARGETS=targets is not None,
        HAS_EXCLUDED=head.exclude_index is not None, HAS_EXPONENTIALS=exponentials is not None,
        HAS_RUNNER_UP=statistics.has_runner_up, HAS_RANK=statistics.has_rank, ALL_STATS=all_stats,
        **narrowed(launch, num_columns).options,
    )  # fmt: skip


@triton.jit(do_not_specialize=["N"])
def _finish_rows_kernel(
    statistics_ptr, row_factor_ptr, target_factor_ptr, N, logit_scale, softcap_bits,
    HAS_SOFTCAP: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    offs_n = tl.program_id(0).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    in_n = offs_n < N
    plane = N.to(tl.int64)
    reference = tl.load(statistics_ptr + REFERENCE * plane + offs_n, mask=in_n, other=0.0)
    others = tl.load(statistics_ptr + SUM * plane + offs_n, mask=in_n, other=1.0)
    target_logit = tl.load(statistics_ptr + TARGET_LOGIT * plane + offs_n, mask=in_n, other=0.0)
    # Infinite beside a target that is certain to 2^-128, which leaves 0 for all.
    total = others + tl.exp2(target_logit - reference)
    target_factor = -logit_scale * others / total
    if HAS_SOFTCAP:
        target_factor *= logit_slope(target_logit, softcap_bits)
    has_target = target_logit != -float("inf")  # a target outside the vocabulary has no row of the head
    tl.store(row_factor_ptr + offs_n, logit_scale / total, mask=in_n)
    tl.store(target_factor_ptr + offs_n, tl.where(has_target, target_factor, 0.0), mask=in_n)


def finish_rows(statistics: PartialStatistics, head: LinearHead) -> tuple[Tensor, Tensor]:
    """Return what turns exponentials into gradients of nll, once all columns are in `statistics`.

    The gradient for the products h W^T is row_factor (N,) times the exponentials, and target_factor (N,) at the
    target: scale slope (p - 1), without ever having subtracted two rounded numbers. Both float32.
    """
    num_rows = statistics.values.shape[1]
    row_factor, target_factor = (statistics.values.new_empty(num_rows) for _ in range(2))
    if num_rows:
        _finish_rows_kernel[(triton.cdiv(num_rows, FINISH_ROWS.blocks["BLOCK_N"]),)](
            statistics.values, row_factor, target_factor, num_rows, head.scale, (head.softcap or 0.0) * LOG2_E,
            HAS_SOFTCAP=head.softcap is not None,
            **FINISH_ROWS.options,
        )  # fmt: skip
    return row_factor, target_factor


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
