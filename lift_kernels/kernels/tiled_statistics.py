"""Softmax statistics of a linear head in one product, its logits on chip only.

A program takes the rows of one tile over one part of the vocabulary and leaves `PartialStatistics` of that part.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from lift_kernels.kernels.arithmetic import LOG2_E, LOWEST, dot, head_logits
from lift_kernels.kernels.launch_configs import Launch, launch_config
from lift_kernels.kernels.partial_statistics import (
    MAX,
    NUM_ABOVE,
    REFERENCE,
    RUNNER_UP,
    SUM,
    TARGET_LOGIT,
    WEIGHTED_SUM,
    PartialStatistics,
    target_thresholds,
)
from lift_kernels.kernels.products import dot_precision
from lift_kernels.linear_head import LinearHead, RowStats

# Of all partial statistics together: at 128 rows a tile this leaves 4000 programs, whatever the shape, to fill a GPU.
_PARTIAL_BYTES = 12 << 20
_MOST_PARTS = 1024

# Row tiles that run beside each other on the same columns: 2048 rows with D = 4096 are 16 MB, and stay in the
# second-level cache (40 MB on an A100, 50 MB on an H100) with the columns that they share.
_ROW_TILES_PER_GROUP = 16


@triton.jit
def row_tile_index():
    """Row tiles of a group are neighbours in time, then come the columns, then the next group (`tile_grid`)."""
    return tl.program_id(2) * tl.num_programs(0) + tl.program_id(0)


def tile_grid(num_row_tiles: int, num_column_tiles: int) -> tuple[int, int, int]:
    """Programs to launch; in the last group those past `num_row_tiles` must return at once."""
    group = min(num_row_tiles, _ROW_TILES_PER_GROUP)
    return (group, num_column_tiles, triton.cdiv(num_row_tiles, group))


@triton.jit
def tile_logits(
    hidden_states_ptr, weight_ptr, bias_ptr, offs_n, offs_v, stride_hidden_states_n, stride_weight_v,
    N, V, D, logit_scale, logit_softcap,
    HAS_BIAS: tl.constexpr, HAS_SOFTCAP: tl.constexpr, EVEN_D: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Logits (BLOCK_N, BLOCK_V) in float32; past N and V those of the last row and column again."""
    offs_d = tl.arange(0, BLOCK_D)
    # The same rows and columns in every step, so the loads need no predicate for them.
    rows = tl.minimum(offs_n, N - 1).to(tl.int64)
    columns = tl.minimum(offs_v, V - 1).to(tl.int64)
    p_hidden_states = hidden_states_ptr + rows[:, None] * stride_hidden_states_n + offs_d[None, :]
    p_weight = weight_ptr + columns[None, :] * stride_weight_v + offs_d[:, None]
    product = tl.zeros([BLOCK_N, BLOCK_V], tl.float32)
    for start in range(0, D, BLOCK_D):
        if EVEN_D:
            hidden_states = tl.load(p_hidden_states)
            weight = tl.load(p_weight)
        else:
            in_d = offs_d < D - start
            hidden_states = tl.load(p_hidden_states, mask=in_d[None, :], other=0.0)
            weight = tl.load(p_weight, mask=in_d[:, None], other=0.0)
        product = dot(hidden_states, weight, product, PRECISION)
        p_hidden_states += BLOCK_D
        p_weight += BLOCK_D
    bias = 0.0
    if HAS_BIAS:
        bias = tl.load(bias_ptr + columns).to(tl.float32)[None, :]
    return head_logits(product, bias, logit_scale, logit_softcap, HAS_BIAS, HAS_SOFTCAP)


@triton.jit(do_not_specialize=["N", "columns_per_part", "exclude_index"])
def _tiled_statistics_kernel(
    hidden_states_ptr, weight_ptr, bias_ptr, targets_ptr, thresholds_ptr, values_ptr, argmax_ptr,
    N, V, D, stride_hidden_states_n, stride_weight_v, columns_per_part, exclude_index, logit_scale, logit_softcap,
    HAS_BIAS: tl.constexpr, HAS_SOFTCAP: tl.constexpr, HAS_TARGETS: tl.constexpr, HAS_EXCLUDED: tl.constexpr,
    HAS_RUNNER_UP: tl.constexpr, HAS_RANK: tl.constexpr, ALL_STATS: tl.constexpr, EVEN_D: tl.constexpr,
    PRECISION: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    first_row = row_tile_index() * BLOCK_N
    if first_row >= N:
        return
    offs_n = first_row + tl.arange(0, BLOCK_N)
    in_n = offs_n < N
    i_part = tl.program_id(1)
    first_column = i_part * columns_per_part
    end_column = tl.minimum(first_column + columns_per_part, V)
    if HAS_TARGETS:
        targets = tl.load(targets_ptr + offs_n, mask=in_n, other=-1)
        # Whatever a target that is no column holds, it must not become one in 32 bits.
        targets = tl.where((targets >= 0) & (targets < V), targets, -1).to(tl.int32)

    reference = tl.full([BLOCK_N], LOWEST, tl.float32)
    total = tl.zeros([BLOCK_N], tl.float32)
    weighted_total = tl.zeros([BLOCK_N], tl.float32)
    target_logit = tl.full([BLOCK_N], -float("inf"), tl.float32)
    argmax = tl.zeros([BLOCK_N], tl.int32) + first_column
    if HAS_RUNNER_UP:
        runner_up = tl.full([BLOCK_N], -float("inf"), tl.float32)
    if HAS_RANK:
        threshold = tl.load(thresholds_ptr + offs_n, mask=in_n, other=0.0)
        num_above = tl.zeros([BLOCK_N], tl.float32)
    for start in range(first_column, end_column, BLOCK_V):
        # `start` is a multiple of BLOCK_V. As a sum, LLVM of triton 3.9 would keep every column's own part in registers
        # throughout the loop, 64 a thread, and all of them would spill.
        offs_v = start | tl.arange(0, BLOCK_V)
        logits = tile_logits(
            hidden_states_ptr, weight_ptr, bias_ptr, offs_n, offs_v, stride_hidden_states_n, stride_weight_v,
            N, V, D, logit_scale, logit_softcap,
            HAS_BIAS, HAS_SOFTCAP, EVEN_D, PRECISION, BLOCK_N, BLOCK_V, BLOCK_D,
        )  # fmt: skip
        takes_part = offs_v < V
        if HAS_EXCLUDED:
            takes_part &= offs_v != exclude_index
        z = tl.where(takes_part[None, :], logits, -float("inf"))
        if HAS_TARGETS:
            is_target = targets[:, None] == offs_v[None, :]
            tile_target_logit = tl.sum(tl.where(is_target, z, 0.0), 1)
            target_logit = tl.where((targets >= start) & (targets < start + BLOCK_V), tile_target_logit, target_logit)
            z = tl.where(is_target, -float("inf"), z)
        if HAS_RANK:
            num_above += tl.sum((z > threshold[:, None]).to(tl.float32), 1)
        tile_max = tl.max(z, 1)
        if ALL_STATS or HAS_RUNNER_UP:
            tile_argmax = tl.min(tl.where(z == tile_max[:, None], offs_v[None, :], 2147483647), 1)
            argmax = tl.where(tile_max > reference, tile_argmax, argmax)
        if HAS_RUNNER_UP:
            tile_second = tl.max(tl.where(offs_v[None, :] == tile_argmax[:, None], -float("inf"), z), 1)
            smaller = tl.where(reference == LOWEST, -float("inf"), tl.minimum(reference, tile_max))
            runner_up = tl.maximum(tl.maximum(runner_up, tile_second), smaller)
        new_reference = tl.maximum(reference, tile_max)
        shift = reference - new_reference
        shrink = tl.exp2(shift)
        # A nan stays; -inf must not, as 0 * -inf is nan.
        centred = tl.maximum(z - new_reference[:, None], LOWEST, propagate_nan=tl.PropagateNan.ALL)
        exponentials = tl.exp2(centred)
        if ALL_STATS:
            # Of nothing summed so far, `shift` may be infinite.
            weighted_total = tl.where(total > 0, (weighted_total + shift * total) * shrink, 0.0)
            weighted_total += tl.sum(centred * exponentials, 1)
        total = total * shrink + tl.sum(exponentials, 1)
        reference = new_reference

    largest = reference
    if HAS_TARGETS:
        largest = tl.where(target_logit > reference, target_logit, reference)
        if ALL_STATS:
            is_first = (target_logit > reference) | ((target_logit == reference) & (targets < argmax))
            argmax = tl.where(is_first, targets, argmax)
        if HAS_RUNNER_UP:
            smaller = tl.where(reference == LOWEST, -float("inf"), tl.minimum(reference, target_logit))
            runner_up = tl.maximum(runner_up, smaller)
    num_parts = tl.num_programs(1)
    offs_out = offs_n.to(tl.int64) * num_parts + i_part
    plane = N.to(tl.int64) * num_parts
    tl.store(values_ptr + REFERENCE * plane + offs_out, reference, mask=in_n)
    tl.store(values_ptr + SUM * plane + offs_out, total, mask=in_n)
    tl.store(values_ptr + WEIGHTED_SUM * plane + offs_out, weighted_total, mask=in_n)
    tl.store(values_ptr + MAX * plane + offs_out, largest, mask=in_n)
    tl.store(values_ptr + TARGET_LOGIT * plane + offs_out, target_logit, mask=in_n)
    tl.store(argmax_ptr + offs_out, argmax, mask=in_n)
    if HAS_RUNNER_UP:
        tl.store(values_ptr + RUNNER_UP * plane + offs_out, runner_up, mask=in_n)
    if HAS_RANK:
        tl.store(values_ptr + NUM_ABOVE * plane + offs_out, num_above, mask=in_n)


def tiled_statistics(
    hidden_states: Tensor,  # (N, D)
    head: LinearHead,
    targets: Tensor | None,  # (N,) int64; one outside [0, V) matches nothing
    *,
    all_stats: bool,
    runner_up: bool = False,
    rank: bool = False,
    launch: Launch | None = None,
) -> RowStats:
    """Return statistics of every row; without entropy and argmax unless `all_stats`."""
    (num_rows, width), num_columns = hidden_states.shape, head.weight.shape[0]
    device = hidden_states.device
    has_softcap = head.softcap is not None
    launch = launch or launch_config("tiled_statistics", hidden_states.dtype, device, num_rows, has_softcap=has_softcap)
    hidden_states, weight = with_unit_stride(hidden_states), with_unit_stride(head.weight)
    part = columns_per_part(num_rows, num_columns, launch.blocks["BLOCK_V"])
    num_parts = triton.cdiv(num_columns, part)
    partial = PartialStatistics.empty(num_rows, num_parts, device, runner_up=runner_up, rank=rank)
    thresholds = target_thresholds(hidden_states, head, targets) if rank and targets is not None else None
    if num_rows:
        _tiled_statistics_kernel[tile_grid(triton.cdiv(num_rows, launch.blocks["BLOCK_N"]), num_parts)](
            hidden_states, weight, head.bias, targets, thresholds, partial.values, partial.argmax,
            num_rows, num_columns, width, hidden_states.stride(0), weight.stride(0), part,
            -1 if head.exclude_index is None else head.exclude_index,
            head.scale * LOG2_E, (head.softcap or 0.0) * LOG2_E,
            HAS_BIAS=head.bias is not None, HAS_SOFTCAP=has_softcap, HAS_TARGETS=targets is not None,
            HAS_EXCLUDED=head.exclude_index is not None, HAS_RUNNER_UP=partial.has_runner_up,
            HAS_RANK=rank, ALL_STATS=all_stats, EVEN_D=width % launch.blocks["BLOCK_D"] == 0,
            PRECISION=dot_precision(hidden_states.dtype),
            **launch.options,
        )  # fmt: skip
    return partial.merge()


def with_unit_stride(rows: Tensor) -> Tensor:
    return rows if rows.stride(-1) == 1 else rows.contiguous()


def columns_per_part(num_rows: int, num_columns: int, block: int) -> int:
    """As many parts as `_PARTIAL_BYTES` hold, each of whole tiles: few rows in many parts, many rows in few."""
    bytes_per_part = (5 * 4 + 4) * max(num_rows, 1)
    most_parts = max(1, min(_MOST_PARTS, _PARTIAL_BYTES // bytes_per_part))
    return block * triton.cdiv(triton.cdiv(num_columns, block), most_parts)
