"""Philox-4x32-10, a counter-based random generator, in torch integer arithmetic.

A word is a pure function of key and counter, so a draw is named instead of being the next of a sequence.
The layout of every draw of this package:

    key = (low, high 32 bits of the seed)
    c0  = position in the row
    c1  = low 32 bits of the row id      c2 = high 32 bits of the row id (two's complement, if negative)
    c3  = stream: 0 = corrupt_tokens, 1 = select_tokens
    word 0 of the four output words is used; a uniform is (word >> 8) * 2^-24, exact in float32, in [0, 1)

In Triton that is `tl.philox(seed, c0, c1, c2, c3)[0]` with its default 10 rounds. There c0 to c3 must be
32-bit integers (64-bit ones select another generator), and the seed may be 64 bits wide.

Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import torch
from torch import Tensor

CORRUPT_STREAM = 0
SELECT_STREAM = 1

_MASK = 0xFFFFFFFF
# The round multipliers less 2^32: congruent to them, and |multiplier * word| < 2^62 fits a signed int64.
_MULTIPLIERS = (0xD2511F53 - 2**32, 0xCD9E8D57 - 2**32)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10


def philox_4x32(
    key: int, c0: Tensor | int, c1: Tensor | int, c2: Tensor | int, c3: Tensor | int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the four output words, int64 in [0, 2^32), of counters in that range that broadcast together."""
    k0, k1 = key & _MASK, key >> 32 & _MASK
    w0, w1, w2, w3 = (torch.as_tensor(c) for c in (c0, c1, c2, c3))
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
