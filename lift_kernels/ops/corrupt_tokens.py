"""The forward process of masked diffusion, reproducible token by token: the public op."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lift_kernels import checks
from lift_kernels.ops.implementation import corruption_backend

_OP = "corrupt_tokens"


class CorruptedTokens(NamedTuple):
    """Corrupted token ids, and which positions were masked: both (B, L)."""

    input_ids: Tensor  # in the dtype of the clean ids
    is_masked: Tensor  # bool


def corrupt_tokens(
    input_ids: Tensor,
    mask_prob: Tensor,
    *,
    mask_token_id: int,
    seed: int,
    maskable: Tensor | None = None,
    row_ids: Tensor | None = None,
    backend: str = "auto",
) -> CorruptedTokens:
    """Replace each token by the mask token with probability `mask_prob`, independently.

    Each draw is a pure function of (seed, row id, position): the same on every device, in any batch, at
    any length. It is word 0 of Philox-4x32-10 with key = (low, high 32 bits of seed) and counter =
    (position, low 32 bits of the row id, high 32 bits of the row id, 0), made uniform in [0, 1) by
    u = (word >> 8) * 2^-24. A token is masked iff it is maskable and u < mask_prob, compared in float32.

    Args:
        input_ids: (B, L) int64 or int32 clean token ids; not modified.
        mask_prob: (B,) or (B, L) floating, 0 or more; 1 masks everything, and so does more, as a sum of rates may
            pass 1 by rounding.
        mask_token_id: the id written to masked positions, not negative.
        seed: int in [0, 2^63); use a new one for each pass over the same rows.
        maskable: (B, L) bool, False where a token must stay (the prompt, for one); None for everywhere True.
        row_ids: (B,) int64 or int32, the name of a row in its draws, such as its number in the data set; rows
            of the same id draw the same, as a row that comes twice should. None for 0..B-1.
        backend: "auto", "triton" or "torch".

    Returns:
        `CorruptedTokens(input_ids, is_masked)`, new tensors of shape (B, L).

    Raises:
        ValueError, TypeError: an argument's shape, dtype, device or value does not fit; the message names it. Values
            of mask_prob are checked on the CPU only: elsewhere a negative one, or NaN, masks nothing.
        RuntimeError: `backend="triton"` cannot run here.

    Source: the forward process of masked diffusion models (LLaDA, arXiv 2502.09992; LIFT, arXiv 2605.22939).
    """
    input_ids, mask_prob, maskable, row_ids = checks.local(
        _OP, input_ids=input_ids, mask_prob=mask_prob, maskable=maskable, row_ids=row_ids
    )
    checks.check_integer(_OP, "input_ids", input_ids)
    checks.check_rows(_OP, "input_ids", input_ids)
    num_rows = input_ids.shape[0]
    because = f"input_ids {tuple(input_ids.shape)}"
    checks.check_floating(_OP, "mask_prob", mask_prob)
    checks.check_shape(_OP, "mask_prob", mask_prob, (num_rows,) if mask_prob.dim() == 1 else input_ids.shape, because)
    if maskable is not None:
        checks.check_dtype(_OP, "maskable", maskable, torch.bool)
        checks.check_shape(_OP, "maskable", maskable, input_ids.shape, because)
    if row_ids is not None:
        checks.check_integer(_OP, "row_ids", row_ids)
        checks.check_shape(_OP, "row_ids", row_ids, (num_rows,), because)
    checks.check_same_device(_OP, input_ids=input_ids, mask_prob=mask_prob, maskable=maskable, row_ids=row_ids)
    checks.check_int(_OP, "mask_token_id", mask_token_id, 0, torch.iinfo(input_ids.dtype).max + 1)
    checks.check_seed(_OP, seed)
    checks.check_backend(_OP, backend)
    checks.check_entries(_OP, "mask_prob", mask_prob, lambda: ~(mask_prob >= 0), "be a probability, 0 or more")
    return CorruptedTokens(
        *_corrupt_tokens(input_ids, mask_prob.detach(), maskable, row_ids, mask_token_id, seed, backend)
    )


@torch.library.custom_op("lift_kernels::corrupt_tokens", mutates_args=())
def _corrupt_tokens(
    input_ids: Tensor,
    mask_prob: Tensor,
    maskable: Tensor | None,
    row_ids: Tensor | None,
    mask_token_id: int,
    seed: int,
    backend: str,
) -> tuple[Tensor, Tensor]:
    compute = corruption_backend(_OP, backend, input_ids.device)
    return compute.corrupt_tokens(input_ids, mask_prob, maskable, row_ids, mask_token_id, seed)


@_corrupt_tokens.register_fake
def _(
    input_ids: Tensor,
    mask_prob: Tensor,
    maskable: Tensor | None,
    row_ids: Tensor | None,
    mask_token_id: int,
    seed: int,
    backend: str,
) -> tuple[Tensor, Tensor]:
    return input_ids.new_empty(input_ids.shape), input_ids.new_empty(input_ids.shape, dtype=torch.bool)
