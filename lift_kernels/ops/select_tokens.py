"""Exactly k masked tokens of each row, the best, the worst or any: the public op."""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels import checks
from lift_kernels.backends import check_backend
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

    Ties go to the lower position, and NaN scores come last in either order. A random row ignores its
    scores and keeps the masked positions with the largest words of Philox-4x32-10: word 0 for
    key = (low, high 32 bits of seed) and counter = (position, low 32 bits of the row id, high 32 bits of
    the row id, 1), the same on every device, in any batch, and independent of what `corrupt_tokens` draws
    with the same seed.

    Args:
        score: (B, L) floating, such as the log-probability of the clean token; read at masked positions only.
        is_masked: (B, L) bool, the positions to choose from.
        num_keep: (B,) int64 or int32, how many to keep of each row, between 0 and the number masked.
        order: (B,) int64 or int32: 1 keeps the highest scores (easy), -1 the lowest (hard), 0 any.
        seed: int in [0, 2^63). May be None on the CPU if no row is random; needed on every other device,
            where `order` is not read back to find out.
        row_ids: (B,) int64 or int32, what names a row in its random draws; None for 0..B-1.
        backend: "auto", "triton" or "torch".

    Returns:
        is_kept, (B, L) bool, True only where `is_masked` is.

    Raises:
        ValueError, TypeError: an argument's shape, dtype, device or value does not fit; the message names it.
            Values of num_keep and order are checked on the CPU only: elsewhere num_keep is clamped to its
            range, and order is taken by its sign.
        RuntimeError: `backend="triton"` cannot run here.

    Source: token selection of LIFT (arXiv 2605.22939).
    """
    checks.check_dtype(_OP, "is_masked", is_masked, torch.bool)
    checks.check_rows(_OP, "is_masked", is_masked)
    because = f"is_masked {tuple(is_masked.shape)}"
    checks.check_floating(_OP, "score", score)
    checks.check_shape(_OP, "score", score, is_masked.shape, because)
    for name, tensor in {"num_keep": num_keep, "order": order, "row_ids": row_ids}.items():
        if tensor is not None:
            checks.check_dtype(_OP, name, tensor, torch.int64, torch.int32)
            checks.check_shape(_OP, name, tensor, (is_masked.shape[0],), because)
    checks.check_same_device(_OP, is_masked=is_masked, score=score, num_keep=num_keep, order=order, row_ids=row_ids)
    if seed is not None:
        checks.check_int(_OP, "seed", seed, checks.SEED_END)
    elif is_masked.device.type != "cpu":
        raise ValueError(
            f"{_OP}: seed must be given on {is_masked.device}, where order is not read back to see whether a "
            "row is random (0), got None. Pass an int."
        )
    check_backend(_OP, backend)
    return registered_select_tokens(score, is_masked, num_keep, order, seed, row_ids, backend)


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
        _check_values(is_masked, num_keep, order, seed)
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


def _check_values(is_masked: Tensor, num_keep: Tensor, order: Tensor, seed: int | None) -> None:
    num_masked = is_masked.sum(-1)
    if (row := _first_row((num_keep < 0) | (num_keep > num_masked))) is not None:
        raise ValueError(
            f"{_OP}: num_keep[{row}] must lie between 0 and {int(num_masked[row])}, the number masked "
            f"in its row, got {int(num_keep[row])}. Bound it with num_keep.minimum(is_masked.sum(-1))."
        )
    if (row := _first_row((order < -1) | (order > 1))) is not None:
        raise ValueError(
            f"{_OP}: order[{row}] must be 1 (highest scores), -1 (lowest scores) or 0 (random), got {int(order[row])}."
        )
    if seed is None and (row := _first_row(order == 0)) is not None:
        raise ValueError(f"{_OP}: seed must be given, as order[{row}] is 0 (random), got None. Pass an int.")


def _first_row(is_wrong: Tensor) -> int | None:
    rows: list[int] = is_wrong.nonzero()[:1, 0].tolist()
    return rows[0] if rows else None
