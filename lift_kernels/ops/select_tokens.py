"""Exactly k masked tokens of each row, the best, the worst or any: the public op."""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels import checks
from lift_kernels.ops.implementation import selection_backend

_OP = "select_tokens"


def select_tokens(
    score: Tensor,
    is_masked: Tensor,
    num_keep: Tensor,
    order: Tensor,
    *,
    seed: int | None = None,
    row_ids: Tensor | None = None,
    backend: str = "auto",
) -> Tensor:
    """Choose exactly `num_keep[b]` masked positions of each row b: the highest scores, the lowest, or any.

    Ties go to the lower position. A random row ignores its
    scores and keeps the masked positions with the largest words of Philox-4x32-10: word 0 for
    key = (low, high 32 bits of seed) and counter = (position, low 32 bits of the row id, high 32 bits of
    the row id, 1), the same on every device, in any batch, and independent of what `corrupt_tokens` draws
    with the same seed.

    Args:
        score: (B, L) floating, such as the log-probability of the clean token; read at masked positions only, where
            it must not be NaN.
        is_masked: (B, L) bool, the positions to choose from.
        num_keep: (B,) int64 or int32, how many to keep of each row, between 0 and the number masked.
        order: (B,) int64 or int32: 1 keeps the highest scores (easy), -1 the lowest (hard), 0 any.
        seed: int in [0, 2^63). May be None on the CPU if no row is random; needed on an accelerator,
            where `order` is not read back to find out.
        row_ids: (B,) int64 or int32, what names a row in its random draws; rows of the same id draw the same.
            None for 0..B-1.
        backend: "auto", "triton" or "torch".

    Returns:
        is_kept, (B, L) bool, True only where `is_masked` is.

    Raises:
        ValueError, TypeError: an argument's shape, dtype, device or value does not fit; the message names it.
            Values of score, num_keep and order are checked on the CPU only: elsewhere NaN scores come last in
            either order, num_keep is clamped to its range, and order is taken by its sign.
        RuntimeError: `backend="triton"` cannot run here.

    Source: token selection of LIFT (arXiv 2605.22939).
    """
    score, is_masked, num_keep, order, row_ids = checks.local(
        _OP, score=score, is_masked=is_masked, num_keep=num_keep, order=order, row_ids=row_ids
    )
    checks.check_dtype(_OP, "is_masked", is_masked, torch.bool)
    checks.check_rows(_OP, "is_masked", is_masked)
    because = f"is_masked {tuple(is_masked.shape)}"
    checks.check_floating(_OP, "score", score)
    checks.check_shape(_OP, "score", score, is_masked.shape, because)
    for name, tensor in {"num_keep": num_keep, "order": order, "row_ids": row_ids}.items():
        if tensor is not None or name != "row_ids":
            checks.check_integer(_OP, name, tensor)
            checks.check_shape(_OP, name, tensor, (is_masked.shape[0],), because)
    checks.check_same_device(_OP, is_masked=is_masked, score=score, num_keep=num_keep, order=order, row_ids=row_ids)
    if seed is not None:
        checks.check_seed(_OP, seed)
    else:
        checks.check_seed_given(_OP, is_masked.device)
    checks.check_backend(_OP, backend)
    checks.check_entries(
        _OP, "score", score, lambda: score.isnan() & is_masked & (order != 0)[:, None], "not be NaN where it is read"
    )
    return registered_select_tokens(score.detach(), is_masked, num_keep, order, seed, row_ids, backend)


@torch.library.custom_op("lift_kernels::select_tokens", mutates_args=())
def registered_select_tokens(
    score: Tensor,
    is_masked: Tensor,
    num_keep: Tensor,
    order: Tensor,
    seed: int | None,
    row_ids: Tensor | None,
    backend: str,
) -> Tensor:
    if is_masked.device.type == "cpu":
        checks.check_num_keep(_OP, num_keep, is_masked)
        checks.check_order(_OP, order, seed)
    compute = selection_backend(_OP, backend, is_masked.device)
    return compute.select_tokens(score, is_masked, num_keep, order, seed, row_ids)


@registered_select_tokens.register_fake
def _(
    score: Tensor,
    is_masked: Tensor,
    num_keep: Tensor,
    order: Tensor,
    seed: int | None,
    row_ids: Tensor | None,
    backend: str,
) -> Tensor:
    return is_masked.new_empty(is_masked.shape)
