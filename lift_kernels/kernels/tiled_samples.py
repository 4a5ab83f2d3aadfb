"""Draw tokens from what a linear head predicts in one product, its logits on chip only.

A program takes the rows of one tile over one part of the vocabulary and leaves `PartialSamples` of that part. So all
of a GPU's multiprocessors share the noise of few rows, which costs more than the rest of a logit.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from lift_kernels.kernels.arithmetic import LOG2_E, LOWEST
from lift_kernels.kernels.launch_configs import Launch, launch_config
from lift_kernels.kernels.partial_samples import KEY, LARGEST, LOGIT, SUM, WEIGHTED_SUM, PartialSamples
from lift_kernels.kernels.products import dot_precision
from lift_kernels.kernels.sample_rows import draw_counters, gumbel_noise
from lift_kernels.kernels.tiled_statistics import (
    columns_per_part,
    row_tile_index,
    tile_grid,
    tile_logits,
    with_unit_stride,
)
from lift_kernels.linear_head import Draws, LinearHead, SampledRows

_LOG2_E = tl.constexpr(LOG2_E)


@triton.jit(do_not_specialize=["N", "columns_per_part", "exclude_index", "seed"])
def _tiled_samples_kernel(
    hidden_states_ptr, weight_ptr, bias_ptr, row_ids_ptr, positions_ptr, values_ptr, token_ptr,
    N, V, D, stride_hidden_states_n, stride_weight_v, columns_per_part, exclude_index, seed: tl.int64,
    inverse_temperature, logit_scale, logit_softcap,
    HAS_BIAS: tl.constexpr, HAS_SOFTCAP: tl.constexpr, HAS_EXCLUDED: tl.constexpr, IS_DRAWN: tl.constexpr,
    EVEN_D: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    first_row = row_tile_index() * BLOCK_N
    if first_row >= N:
        return
    offs_n = first_row + tl.arange(0, BLOCK_N)
    in_n = offs_n < N
    i_part = tl.program_id(1)
    first_column = i_part * columns_per_part
    end_column = tl.minimum(first_column + columns_per_part, V)
    if IS_DRAWN:
        position, row_low, row_high = draw_counters(row_ids_ptr, positions_ptr, offs_n, in_n)

    largest = tl.full([BLOCK_N], LOWEST, tl.float32)
    total = tl.zeros([BLOCK_N], tl.float32)
    weighted_total = tl.zeros([BLOCK_N], tl.float32)
    ahead = tl.full([BLOCK_N], -float("inf"), tl.float32)
    logit = tl.full([BLOCK_N], -float("inf"), tl.float32)
    token = tl.zeros([BLOCK_N], tl.int32) + first_column
    for start in range(first_column, end_column, BLOCK_V):
        offs_v = start | tl.arange(0, BLOCK_V)  # not a sum: see `tiled_statistics`
        logits = tile_logits(
            hidden_states_ptr, weight_ptr, bias_ptr, offs_n, offs_v, stride_hidden_states_n, stride_weight_v,
            N, V, D, logit_scale, logit_softcap,
            HAS_BIAS, HAS_SOFTCAP, EVEN_D, PRECISION, BLOCK_N, BLOCK_V, BLOCK_D,
        )  # fmt: skip
        takes_part = offs_v < V
        if HAS_EXCLUDED:
            takes_part &= offs_v != exclude_index
        z = tl.where(takes_part[None, :], logits, -float("inf"))
        tile_largest = tl.max(z, 1)
        is_new = tile_largest > largest
        own = tl.min(tl.where(z == tile_largest[:, None], offs_v[None, :], 2147483647), 1)
        if IS_DRAWN:
            groups = (start // 4) | tl.arange(0, BLOCK_V // 4)
            noise = gumbel_noise(
                seed, position[:, None], row_low[:, None], row_high[:, None], groups[None, :], [BLOCK_N, BLOCK_V]
            )
            key = z * inverse_temperature + noise
            tile_ahead = tl.max(key, 1)
            winner = tl.min(tl.where(key == tile_ahead[:, None], offs_v[None, :], 2147483647), 1)
            tile_logit = tl.max(tl.where(offs_v[None, :] == winner[:, None], z, -float("inf")), 1)
            is_ahead = tile_ahead > ahead
            token = tl.where(is_ahead, winner, token)
            logit = tl.where(is_ahead, tile_logit, logit)
            ahead = tl.where(is_ahead, tile_ahead, ahead)
        else:
            token = tl.where(is_new, own, token)
        new_largest = tl.where(is_new, tile_largest, largest)
        # In bits, and finite where nothing was there before: 0 * -inf is nan. What was the largest becomes one of the
        # others.
        shift = tl.maximum(largest - new_largest, -1e30) * _LOG2_E
        shrink = tl.exp2(shift)
        others = tl.where(is_new, total + 1.0, total)
        is_own = offs_v[None, :] == tl.where(is_new, own, -1)[:, None]
        centred = (z - new_largest[:, None]) * _LOG2_E
        exponentials = tl.where(is_own, 0.0, tl.exp2(centred))
        weighted_total = (weighted_total + shift * others) * shrink
        weighted_total += tl.sum(tl.maximum(centred, LOWEST) * exponentials, 1)
        total = others * shrink + tl.sum(exponentials, 1)
        largest = new_largest

    num_parts = tl.num_programs(1)
    offs_out = offs_n.to(tl.int64) * num_parts + i_part
    plane = N.to(tl.int64) * num_parts
    tl.store(values_ptr + LARGEST * plane + offs_out, largest, mask=in_n)
    tl.store(values_ptr + SUM * plane + offs_out, total, mask=in_n)
    tl.store(values_ptr + WEIGHTED_SUM * plane + offs_out, weighted_total, mask=in_n)
    tl.store(values_ptr + KEY * plane + offs_out, ahead if IS_DRAWN else largest, mask=in_n)
    tl.store(values_ptr + LOGIT * plane + offs_out, logit if IS_DRAWN else largest, mask=in_n)
    tl.store(token_ptr + offs_out, token, mask=in_n)


def tiled_samples(
    hidden_states: Tensor,  # (N, D)
    head: LinearHead,
    draws: Draws,  # of these rows, contiguous
    *,
    launch: Launch | None = None,
) -> SampledRows:
    """Return a token for each row, its log-probability and the entropy."""
    (num_rows, width), num_columns = hidden_states.shape, head.weight.shape[0]
    device = hidden_states.device
    launch = launch or launch_config("tiled_samples", hidden_states.dtype, device, num_rows)
    hidden_states, weight = with_unit_stride(hidden_states), with_unit_stride(head.weight)
    part = columns_per_part(num_rows, num_columns, launch.blocks["BLOCK_V"])
    num_parts = triton.cdiv(num_columns, part)
    partial = PartialSamples.empty(num_rows, num_parts, device)
    is_drawn = draws.temperature > 0
    if num_rows:
        _tiled_samples_kernel[tile_grid(triton.cdiv(num_rows, launch.blocks["BLOCK_N"]), num_parts)](
            hidden_states, weight, head.bias, draws.row_ids, draws.positions, partial.values, partial.token,
            num_rows, num_columns, width, hidden_states.stride(0), weight.stride(0), part,
            -1 if head.exclude_index is None else head.exclude_index, draws.seed,
            1 / draws.temperature if is_drawn else 0.0, head.scale, head.softcap or 0.0,
            HAS_BIAS=head.bias is not None, HAS_SOFTCAP=head.softcap is not None,
            HAS_EXCLUDED=head.exclude_index is not None, IS_DRAWN=is_drawn,
            EVEN_D=width % launch.blocks["BLOCK_D"] == 0, PRECISION=dot_precision(hidden_states.dtype),
            **launch.options,
        )  # fmt: skip
    return partial.merge()
