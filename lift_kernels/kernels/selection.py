"""Choosing which masked tokens of each row to train, in one launch and without a sort.

Scores become unsigned keys of the same order. The num_keep-th smallest key of a row is the largest number with fewer
than num_keep keys below it, found bit by bit from the highest; among keys equal to it position decides.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from lift_kernels.kernels.corruption import random_words
from lift_kernels.kernels.launch_configs import select_tokens_launch
from lift_kernels.philox import SELECT_STREAM

_STREAM = tl.constexpr(SELECT_STREAM)


@triton.jit
def _score_key(score, is_rising, KEY_BITS: tl.constexpr):
    """Keys in the order of the scores, or in the reverse order; nan of either sign last."""
    UNSIGNED: tl.constexpr = tl.uint64 if KEY_BITS == 64 else tl.uint32
    LARGEST: tl.constexpr = (1 << (KEY_BITS - 1)) - 1
    INFINITY: tl.constexpr = 0x7FF0000000000000 if KEY_BITS == 64 else 0x7F800000
    if KEY_BITS == 64:
        bits = score.to(tl.int64, bitcast=True)
    elif score.dtype == tl.bfloat16:
        # By a shift, as the interpreter converts subnormals of this dtype to other numbers.
        bits = score.to(tl.int16, bitcast=True).to(tl.int32) << 16
    else:
        bits = score.to(tl.float32).to(tl.int32, bitcast=True)
    # Sign and magnitude as one integer: -0.0 and 0.0 are then the same number, and to reverse the order is to negate.
    magnitude = bits & LARGEST
    key = tl.where((bits < 0) == is_rising, -magnitude, magnitude)
    key = tl.where(magnitude > INFINITY, LARGEST, key)
    return key.to(UNSIGNED, bitcast=True) ^ (1 << (KEY_BITS - 1))


@triton.jit
def _kth_smallest(key, k, KEY_BITS: tl.constexpr):
    """(the k-th smallest key, how many keys are below it); (0, 0) for k = 0."""
    threshold = tl.full((), 0, key.dtype)
    bit = tl.full((), 1 << (KEY_BITS - 1), key.dtype)
    num_below = tl.full((), 0, tl.int32)
    for _ in range(KEY_BITS):
        trial = threshold | bit
        num_below_trial = tl.sum((key < trial).to(tl.int32), 0)
        threshold = tl.where(num_below_trial < k, trial, threshold)
        num_below = tl.where(num_below_trial < k, num_below_trial, num_below)
        bit = bit >> 1
    return threshold, num_below


# By its annotation the seed is 64 bits wide whatever its value: no seed compiles anew.
@triton.jit(do_not_specialize=["L", "seed"])
def _select_tokens_kernel(
    score_ptr, is_masked_ptr, num_keep_ptr, order_ptr, row_ids_ptr, is_kept_ptr,
    L, seed: tl.int64,
    HAS_ROW_IDS: tl.constexpr, KEY_BITS: tl.constexpr, BLOCK_L: tl.constexpr,
):  # fmt: skip
    i_b = tl.program_id(0).to(tl.int64)
    offs_l = tl.arange(0, BLOCK_L)
    in_l = offs_l < L
    row = i_b * L  # added to the pointers, which one register holds for all positions, and not to each position
    LAST: tl.constexpr = (1 << KEY_BITS) - 1

    is_masked = tl.load(is_masked_ptr + row + offs_l, mask=in_l, other=False)
    order = tl.load(order_ptr + i_b)
    if order == 0:
        word = random_words(seed, row_ids_ptr, i_b, offs_l, _STREAM, HAS_ROW_IDS)
        # The largest words come first; xor with all ones reverses their order.
        key = (word ^ 0xFFFFFFFF).to(tl.uint64 if KEY_BITS == 64 else tl.uint32)
    else:
        key = _score_key(tl.load(score_ptr + row + offs_l, mask=is_masked, other=0.0), order < 0, KEY_BITS)
    key = tl.where(is_masked, key, LAST)

    num_masked = tl.sum(is_masked.to(tl.int32), 0)
    num_keep = tl.load(num_keep_ptr + i_b)
    k = tl.minimum(tl.maximum(num_keep, 0), num_masked).to(tl.int32)
    threshold, num_below = _kth_smallest(key, k, KEY_BITS)
    # A masked key may equal LAST as well: only masked positions are counted among ties.
    is_tie = (key == threshold) & is_masked
    tie_rank = tl.cumsum(is_tie.to(tl.int32), 0)
    is_kept = (key < threshold) | (is_tie & (tie_rank <= k - num_below))
    tl.store(is_kept_ptr + row + offs_l, is_kept, mask=in_l)


def select_tokens(
    score: Tensor,  # (B, L) floating
    is_masked: Tensor,  # (B, L) bool
    num_keep: Tensor,  # (B,) int64 or int32, clamped to [0, number masked]
    order: Tensor,  # (B,) int64 or int32, taken by its sign
    seed: int | None,  # None: no row is random
    row_ids: Tensor | None,  # (B,) int64 or int32
) -> Tensor:
    """Return is_kept (B, L) bool, contiguous: the first `num_keep` masked positions of each row by rising key."""
    num_rows, length = is_masked.shape
    is_kept = torch.empty(is_masked.shape, dtype=torch.bool, device=is_masked.device)
    if is_kept.numel():
        launch = select_tokens_launch(length, is_masked.device)
        with torch.cuda.device_of(is_masked):
            _select_tokens_kernel[(num_rows,)](
                score.contiguous(), is_masked.contiguous(), num_keep.contiguous(), order.contiguous(),
                None if row_ids is None else row_ids.contiguous(), is_kept,
                length, 0 if seed is None else seed,
                HAS_ROW_IDS=row_ids is not None, KEY_BITS=64 if score.dtype == torch.float64 else 32,
                **launch.options,
            )  # fmt: skip
    return is_kept
