"""Arithmetic shared by the kernels, correct on a GPU and under Triton's interpreter alike.

The interpreter (TRITON_INTERPRET=1, what the tests run on without a GPU) holds bfloat16 as bit patterns: it multiplies
and adds those as integers, and truncates where a GPU rounds to the nearest even. `dot` and `round_to` do what a GPU
does in both; everything else is computed in float32.
"""

from __future__ import annotations

import math
import os

import triton
import triton.language as tl

INTERPRETED = tl.constexpr(os.environ.get("TRITON_INTERPRET") == "1")

# exp2 is one instruction, exp several around it: what takes every logit counts in bits, log2(e) of them to a nat.
# A logit comes in bits where scale and softcap are multiplied by LOG2_E.
LOG2_E = math.log2(math.e)
_LOG2_E = tl.constexpr(LOG2_E)
LN_2 = tl.constexpr(math.log(2))

# The least finite float32. Not -inf as a first maximum: -inf - -inf is nan where a whole row is -inf.
LOWEST = tl.constexpr(-3.4028234663852886e38)
LEAST_LOG_PROB = tl.constexpr(-1000.0)  # its exponential is 0, and products with it stay finite


@triton.jit
def dot(a, b, accumulator, PRECISION: tl.constexpr):
    """accumulator + a @ b in float32; PRECISION ("ieee" or "tf32") is for float32 operands."""
    if INTERPRETED:
        return accumulator + tl.dot(a.to(tl.float32), b.to(tl.float32), input_precision="ieee")
    return tl.dot(a, b, accumulator, input_precision=PRECISION)


@triton.jit
def round_to(x, dtype: tl.constexpr):
    """Float32 x in `dtype`, rounded to the nearest, ties to even."""
    if INTERPRETED and dtype == tl.bfloat16:
        bits = x.to(tl.uint32, bitcast=True)
        rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).to(tl.float32, bitcast=True)
        x = tl.where(x == x, rounded, x)
    return x.to(dtype)


@triton.jit
def sum_of_fours(values):
    """Sums of four neighbours, which one thread holds: an accumulator takes a quarter of the registers."""
    return tl.sum(tl.reshape(values, [values.shape[0] // 4, 4]), 1)


@triton.jit
def head_logits(product, bias, scale, softcap, HAS_BIAS: tl.constexpr, HAS_SOFTCAP: tl.constexpr):
    """softcap * tanh(scale * (product + bias) / softcap), without the parts that are absent; float32."""
    z = product
    if HAS_BIAS:
        z = z + bias
    if HAS_SOFTCAP:
        return softcap * _tanh(z * (scale / softcap))
    return z * scale


@triton.jit
def logit_slope(z, softcap):
    """d logit / d (scale * (product + bias)) at logit z under a softcap."""
    ratio = z * (1.0 / softcap)
    return 1.0 - ratio * ratio


@triton.jit
def log1p(x):
    """log(1 + x) for x >= 0, to a relative error near 2e-7: of all the rest beside a token that is nearly certain."""
    # log(1 + x) loses the digits of a small x. Else 2 atanh(x / (2 + x)), by its Taylor series.
    ratio = x / (2.0 + x)
    square = ratio * ratio
    series = 2 * ratio * (1 + square * (1 / 3 + square * (1 / 5 + square * (1 / 7 + square / 9))))
    return tl.where(x < 0.4, series, tl.log(1.0 + x))


@triton.jit
def expm1(x):
    """exp(x) - 1 for x <= 0, to a relative error near 1e-7: of a log-probability, minus that of all the rest."""
    # exp(x) - 1 loses the digits of a small x, its Taylor series those of a large one.
    series = x * (1 + x * (1 / 2 + x * (1 / 6 + x * (1 / 24 + x * (1 / 120 + x * (1 / 720 + x / 5040))))))
    return tl.where(x > -0.25, series, tl.exp2(x * _LOG2_E) - 1.0)


@triton.jit
def _tanh(x):
    # Through exp, as the interpreter has no libdevice; of a negative argument, so that nothing overflows.
    decay = expm1(-2.0 * tl.abs(x))
    magnitude = -decay / (2.0 + decay)
    return tl.where(x < 0, -magnitude, magnitude)
