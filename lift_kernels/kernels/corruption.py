"""Masking tokens at random in one pass over their ids, and the random words that token selection draws too."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from lift_kernels.kernels.launch_configs import CORRUPT_TOKENS
from lift_kernels.philox import CORRUPT_STREAM

_STREAM = tl.constexpr(CORRUPT_STREAM)


@triton.jit
def random_words(seed, row_ids_ptr, i_b, positions, STREAM: tl.constexpr, HAS_ROW_IDS: tl.constexpr):
    """The words (uint32) of int32 `positions` of row `i_b`, an int64, in the layout of `lift_kernels.philox`."""
    row_id = i_b
    if HAS_ROW_IDS:
        row_id = tl.load(row_ids_ptr + i_b).to(tl.int64)
    low, high = (row_id & 0xFFFFFFFF).to(tl.uint32), ((row_id >> 32) & 0xFFFFFFFF).to(tl.uint32)
    word, _, _, _ = tl.philox(seed, positions, low, high, STREAM)
    return word


# By their annotation the seed and the mask token are 64 bits wide whatever their values: no seed compiles anew.
@triton.jit(do_not_specialize=["L", "mask_token_id", "seed"])
def _corrupt_tokens_kernel(
    input_ids_ptr, mask_prob_ptr, maskable_ptr, row_ids_ptr, corrupted_ids_ptr, is_masked_ptr,
    L, mask_token_id: tl.int64, seed: tl.int64,
    PER_TOKEN: tl.constexpr, HAS_MASKABLE: tl.constexpr, HAS_ROW_IDS: tl.constexpr, BLOCK_L: tl.constexpr,
):  # fmt: skip
    i_b = tl.program_id(0).to(tl.int64)
    offs_l = tl.program_id(1) * BLOCK_L + tl.arange(0, BLOCK_L)
    in_l = offs_l < L
    offs = i_b * L + offs_l

    word = random_words(seed, row_ids_ptr, i_b, offs_l, _STREAM, HAS_ROW_IDS)
    uniform = (word >> 8).to(tl.float32) * (1.0 / (1 << 24))
    if PER_TOKEN:
        mask_prob = tl.load(mask_prob_ptr + offs, mask=in_l, other=0.0)
    else:
        mask_prob = tl.load(mask_prob_ptr + i_b)
    is_masked = uniform < mask_prob.to(tl.float32)
    if HAS_MASKABLE:
        is_masked = is_masked & tl.load(maskable_ptr + offs, mask=in_l, other=False)

    input_ids = tl.load(input_ids_ptr + offs, mask=in_l, other=0)
    corrupted_ids = tl.where(is_masked, mask_token_id.to(input_ids.dtype), input_ids)
    tl.store(corrupted_ids_ptr + offs, corrupted_ids, mask=in_l)
    tl.store(is_masked_ptr + offs, is_masked, mask=in_l)


def corrupt_tokens(
    input_ids: Tensor,  # (B, L) int64 or int32
    mask_prob: Tensor,  # (B,) or (B, L) floating
    maskable: Tensor | None,  # (B, L) bool
    row_ids: Tensor | None,  # (B,) int64 or int32
    mask_token_id: int,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """Return (corrupted ids, is_masked), both (B, L), contiguous and new."""
    num_rows, length = input_ids.shape
    corrupted_ids = torch.empty(input_ids.shape, dtype=input_ids.dtype, device=input_ids.device)
    is_masked = torch.empty(input_ids.shape, dtype=torch.bool, device=input_ids.device)
    if input_ids.numel():
        with torch.cuda.device_of(input_ids):
            _corrupt_tokens_kernel[(num_rows, triton.cdiv(length, CORRUPT_TOKENS.blocks["BLOCK_L"]))](
                input_ids.contiguous(), mask_prob.contiguous(),
                None if maskable is None else maskable.contiguous(),
                None if row_ids is None else row_ids.contiguous(),
                corrupted_ids, is_masked, length, mask_token_id, seed,
                PER_TOKEN=mask_prob.dim() == 2, HAS_MASKABLE=maskable is not None, HAS_ROW_IDS=row_ids is not None,
                **CORRUPT_TOKENS.options,
            )  # fmt: skip
    return corrupted_ids, is_masked
