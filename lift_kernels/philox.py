"""Philox-4x32-10, a counter-based random generator, in torch integer arithmetic.

A word is a pure function of key and counter, so a draw is named instead of being the next of a sequence.
The layout of every draw of this package:

    key = (low, high 32 bits of the seed)
    c0  = position in the row
    c1  = low 32 bits of the row id      c2 = high 32 bits of the row id (two's complement, if negative)
    c3  = stream: 0 = corrupt_tokens, 1 = select_tokens, 2 + entry // 4 = linear_sample
    word 0 of the four output words is used; a uniform is (word >> 8) * 2^-24, exact in float32, in [0, 1)

In `linear_sample` word entry % 4 is the draw of a vocabulary entry, and its upper 23 bits b are the uniform
u = (b + 1/2) 2^-23, never 0 or 1 and exact in float32. Its Gumbel noise is -ln(-ln u), with a logarithm whose every
addition and multiplication is rounded to float32 by itself: these have one result on every machine.

In Triton that is `tl.philox(seed, c0, c1, c2, c3)[0]` with its default 10 rounds. There c0 to c3 must be
32-bit integers (64-bit ones select another generator), and the seed may be 64 bits wide.

Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import torch
from torch import Tensor

CORRUPT_STREAM = 0
SELECT_STREAM = 1
SAMPLE_STREAM = 2  # and those after it, one for each four entries of the vocabulary

_MASK = 0xFFFFFFFF
# The round multipliers less 2^32: congruent to them, and |multiplier * word| < 2^62 fits a signed int64.
_MULTIPLIERS = (0xD2511F53 - 2**32, 0xCD9E8D57 - 2**32)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10

# ln(1 + f) = f - f^2 / 2 + f^3 P(f) for 1 + f in [sqrt(1/2), sqrt(2)), to within a unit in the last place; and ln 2 in
# two parts, the first of which makes an exact product with an exponent. From logf of the Cephes library, Moshier 1992.
LOG_POLYNOMIAL = (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
    2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip
LN_2_HIGH, LN_2_LOW = 0.693359375, -2.12194440e-4
SQRT_HALF_BITS = 0x3F3504F3  # of float32


def philox_4x32(
    key: int, c0: Tensor | int, c1: Tensor | int, c2: Tensor | int, c3: Tensor | int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the four output words, int64 in [0, 2^32), of counters in that range that broadcast together."""
    k0, k1 = key & _MASK, key >> 32 & _MASK
    device = next((c.device for c in (c0, c1, c2, c3) if isinstance(c, Tensor)), None)
    w0, w1, w2, w3 = (torch.as_tensor(c, device=device) for c in (c0, c1, c2, c3))
    # The counters are not expanded first: the first round then works on (L,) and (B, 1) instead of (B, L).
    for _ in range(_ROUNDS):
        product_0, product_1 = w0 * _MULTIPLIERS[0], w2 * _MULTIPLIERS[1]
        high_0, high_1 = (product_0 >> 32) + w0, (product_1 >> 32) + w2  # undoes the "less 2^32"
        w0, w1, w2, w3 = high_1 ^ w1 ^ k0, product_1 & _MASK, high_0 ^ w3 ^ k1, product_0 & _MASK
        k0, k1 = (k0 + _KEY_STEPS[0]) & _MASK, (k1 + _KEY_STEPS[1]) & _MASK
    return w0, w1, w2, w3


def random_words(seed: int, row_ids: Tensor, length: int, stream: int) -> Tensor:
    """Return the words of positions 0..length-1 of rows `row_ids` (B,), (B, L) int64, on their device."""
    positions = torch.arange(length, device=row_ids.device)
    ids = row_ids.to(torch.int64)[:, None]  # (B, 1)
    return philox_4x32(seed, positions, ids & _MASK, ids >> 32 & _MASK, stream)[0]


def uniforms(words: Tensor) -> Tensor:
    """Map words to float32 in [0, 1), multiples of 2^-24."""
    return (words >> 8).to(torch.float32) * 2.0**-24


def entry_words(seed: int, row_ids: Tensor, positions: Tensor, groups: Tensor) -> Tensor:
    """Return the words (..., 4) of the vocabulary entries 4 g, ..., 4 g + 3 at positions of rows.

    Arguments but for the seed are int64 and broadcast together.
    """
    low, high = row_ids & _MASK, row_ids >> 32 & _MASK
    return torch.stack(philox_4x32(seed, positions & _MASK, low, high, SAMPLE_STREAM + groups), dim=-1)


def open_uniforms(words: Tensor) -> Tensor:
    """Map words to float32 in (0, 1), odd multiples of 2^-24."""
    return (words >> 9).to(torch.float32).add_(0.5).mul_(2.0**-23)


def gumbel_noise(words: Tensor) -> Tensor:
    """Map words to float32 Gumbel noise -ln(-ln u), the same bits everywhere."""
    return _log(_log(open_uniforms(words)).neg_()).neg_()


def _log(x: Tensor) -> Tensor:
    """Return the natural logarithm of float32 x > 0, not subnormal, by operations that round once each.

    No `addcmul`, no `alpha`: devices differ in whether they round the product.
    """
    bits = x.view(torch.int32)
    exponent = (bits - SQRT_HALF_BITS) >> 23
    f = (bits - (exponent << 23)).view(torch.float32).sub_(1)
    square, exponent = f * f, exponent.to(torch.float32)
    result = f * LOG_POLYNOMIAL[0]
    for coefficient in LOG_POLYNOMIAL[1:]:
        result.add_(coefficient).mul_(f)
    result.mul_(square)
    result.add_(exponent * LN_2_LOW).sub_(square.mul_(0.5)).add_(f)
    return result.add_(exponent.mul_(LN_2_HIGH))
