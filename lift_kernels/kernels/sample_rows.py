"""Draw a token from each row of logits that a matrix product left in memory, each logit read once.

The token is the first of the largest z / temperature + Gumbel noise. The noise has the bits of `philox.gumbel_noise`,
so kernels that draw are compiled without fused multiply-adds, which round a product and a sum once. Statistics are
those at temperature 1, kept as `PartialSamples` of one part.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from lift_kernels import philox
from lift_kernels.kernels.arithmetic import LOG2_E, LOWEST, head_logits, sum_of_fours
from lift_kernels.kernels.launch_configs import Launch, narrowed
from lift_kernels.kernels.partial_samples import KEY, LARGEST, LOGIT, SUM, WEIGHTED_SUM, PartialSamples
from lift_kernels.linear_head import Draws, LinearHead

_STREAM = tl.constexpr(philox.SAMPLE_STREAM)
_LOG2_E = tl.constexpr(LOG2_E)
_SQRT_HALF_BITS = tl.constexpr(philox.SQRT_HALF_BITS)
_LN_2_HIGH, _LN_2_LOW = tl.constexpr(philox.LN_2_HIGH), tl.constexpr(philox.LN_2_LOW)
_P0, _P1, _P2, _P3, _P4, _P5, _P6, _P7, _P8 = (tl.constexpr(value) for value in philox.LOG_POLYNOMIAL)


@triton.jit
def rounded_log(x):
    """Natural logarithm of float32 x > 0, the operations of `lift_kernels.philox` in their order."""
    bits = x.to(tl.int32, bitcast=True)
    exponent = (bits - _SQRT_HALF_BITS) >> 23
    f = (bits - (exponent << 23)).to(tl.float32, bitcast=True) - 1.0
    square = f * f
    result = (f * _P0 + _P1) * f
    result = (result + _P2) * f
    result = (result + _P3) * f
    result = (result + _P4) * f
    result = (result + _P5) * f
    result = (result + _P6) * f
    result = (result + _P7) * f
    result = (result + _P8) * f
    result = result * square
    factor = exponent.to(tl.float32)
    result = (result + factor * _LN_2_LOW) - square * 0.5
    return (result + f) + factor * _LN_2_HIGH


@triton.jit
def draw_counters(row_ids_ptr, positions_ptr, offs_n, in_n):
    """Position, and low and high half of the row id, of rows `offs_n` in 32 bits each."""
    row_id = tl.load(row_ids_ptr + offs_n, mask=in_n, other=0)
    position = tl.load(positions_ptr + offs_n, mask=in_n, other=0)
    return (
        (position & 0xFFFFFFFF).to(tl.uint32),
        (row_id & 0xFFFFFFFF).to(tl.uint32),
        ((row_id >> 32) & 0xFFFFFFFF).to(tl.uint32),
    )


@triton.jit
def gumbel_noise(seed, position, row_low, row_high, groups, shape: tl.constexpr):
    """Noise of the vocabulary entries 4 g, ..., 4 g + 3 of groups (..., G) int32, as `shape`: (..., 4 G)."""
    w0, w1, w2, w3 = tl.philox(seed, position, row_low, row_high, groups + _STREAM)
    words = tl.reshape(tl.join(tl.join(w0, w2), tl.join(w1, w3)), shape)
    uniform = ((words >> 9).to(tl.float32) + 0.5) * (1.0 / (1 << 23))
    return -rounded_log(-rounded_log(uniform))


# Columns are specialised on their divisibility, unlike N: the loads are vectors only where 16 divides them.
@triton.jit(do_not_specialize=["N", "exclude_index", "seed"])
def _sample_rows_kernel(
    products_ptr, bias_ptr, row_ids_ptr, positions_ptr, values_ptr, token_ptr, stride_products_n,
    N, first_column, num_columns, exclude_index, seed: tl.int64, inverse_temperature, logit_scale, logit_softcap,
    HAS_BIAS: tl.constexpr, HAS_SOFTCAP: tl.constexpr, HAS_EXCLUDED: tl.constexpr, IS_DRAWN: tl.constexpr,
    BLOCK_V: tl.constexpr,
):  # fmt: skip
    i_n = tl.program_id(0).to(tl.int64)
    p_products = products_ptr + i_n * stride_products_n
    p_values = values_ptr + i_n
    plane = N.to(tl.int64)

    # Before anything that has to be waited for; and in the loop the next block before this one's arithmetic.
    block = tl.arange(0, BLOCK_V)
    product = tl.load(p_products + block, mask=block < num_columns, other=0.0)
    if IS_DRAWN:
        position, row_low, row_high = draw_counters(row_ids_ptr, positions_ptr, i_n, i_n < N)

    largest, sum_before, weighted_sum_before = LOWEST, 0.0, 0.0
    ahead, logit, token = -float("inf"), -float("inf"), 0
    if first_column > 0:
        largest = tl.load(p_values + LARGEST * plane)
        sum_before = tl.load(p_values + SUM * plane)
        weighted_sum_before = tl.load(p_values + WEIGHTED_SUM * plane)
        token = tl.load(token_ptr + i_n)
        if IS_DRAWN:
            ahead = tl.load(p_values + KEY * plane)
            logit = tl.load(p_values + LOGIT * plane)

    own = -1  # the column of the largest logit, where this launch has it
    sums = tl.zeros([BLOCK_V // 4], tl.float32)
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
        if HAS_EXCLUDED:
            takes_part &= offs_v != exclude_index - first_column
        z = tl.where(takes_part, logits, -float("inf"))
        if IS_DRAWN:
            groups = (first_column + start) // 4 + tl.arange(0, BLOCK_V // 4)
            key = z * inverse_temperature + gumbel_noise(seed, position, row_low, row_high, groups, [BLOCK_V])
            block_ahead = tl.max(key, 0)
            if block_ahead > ahead:
                winner = tl.min(tl.where(key == block_ahead, offs_v, 2147483647), 0)
                logit = tl.max(tl.where(offs_v == winner, z, -float("inf")), 0)
                token = first_column + winner
                ahead = block_ahead
        block_largest = tl.max(z, 0)
        if block_largest > largest:
            # In bits, and finite where nothing was there before: 0 * -inf is nan.
            shift = tl.minimum(block_largest - largest, 1e30) * -_LOG2_E
            shrink = tl.exp2(shift)
            weighted_sums = (weighted_sums + shift * sums) * shrink
            sums *= shrink
            # What was the largest becomes one of the others.
            weighted_sum_before = (weighted_sum_before + shift * (sum_before + 1.0)) * shrink
            sum_before = (sum_before + 1.0) * shrink
            own = tl.min(tl.where(z == block_largest, offs_v, 2147483647), 0)
            largest = block_largest
            if not IS_DRAWN:
                token = first_column + own
        centred = (z - largest) * _LOG2_E
        exponentials = tl.where(offs_v == own, 0.0, tl.exp2(centred))
        sums += sum_of_fours(exponentials)
        weighted_sums += sum_of_fours(tl.maximum(centred, LOWEST) * exponentials)  # of -inf: 0 * -inf is nan

    tl.store(p_values + LARGEST * plane, largest)
    tl.store(p_values + SUM * plane, sum_before + tl.sum(sums, 0))
    tl.store(p_values + WEIGHTED_SUM * plane, weighted_sum_before + tl.sum(weighted_sums, 0))
    tl.store(token_ptr + i_n, token)
    if IS_DRAWN:
        tl.store(p_values + KEY * plane, ahead)
        tl.store(p_values + LOGIT * plane, logit)
    else:
        tl.store(p_values + KEY * plane, largest)
        tl.store(p_values + LOGIT * plane, largest)


def sample_rows(
    products: Tensor,  # (N, K) float32: hidden_states @ weight[columns].T
    columns: slice,  # K vocabulary entries, from a multiple of 4 on; a row's first ones come first
    head: LinearHead,
    draws: Draws,  # of these rows, contiguous
    samples: PartialSamples,  # of one part, updated
    launch: Launch,
) -> None:
    """Take the logits of `columns` into each row's draw."""
    num_rows, num_columns = products.shape
    if num_rows == 0:
        return
    is_drawn = draws.temperature > 0
    _sample_rows_kernel[(num_rows,)](
        products, head.bias, draws.row_ids, draws.positions, samples.values, samples.token, products.stride(0),
        num_rows, columns.start, num_columns, -1 if head.exclude_index is None else head.exclude_index,
        draws.seed, 1 / draws.temperature if is_drawn else 0.0, head.scale, head.softcap or 0.0,
        HAS_BIAS=head.bias is not None, HAS_SOFTCAP=head.softcap is not None,
        HAS_EXCLUDED=head.exclude_index is not None, IS_DRAWN=is_drawn,
        **narrowed(launch, num_columns).options,
    )  # fmt: skip
