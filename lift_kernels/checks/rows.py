"""Arguments with one entry for each row of a batch (B, L)."""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels.checks.entries import check_entries
from lift_kernels.checks.numbers import check_int

_SEED_END = 2**63


def check_rows(op: str, name: str, tensor: Tensor) -> None:
    if tensor.dim() != 2:
        raise ValueError(
            f"{op}: {name} must have shape (B, L), got {tuple(tensor.shape)}. Reshape it, one row per sequence."
        )


def check_seed(op: str, seed: object) -> None:
    check_int(op, "seed", seed, 0, _SEED_END)


def check_timestep(op: str, timestep: Tensor) -> None:
    check_entries(op, "timestep", timestep, lambda: ~((timestep > 0) & (timestep <= 1)), "lie in (0, 1]")


def check_num_keep(op: str, num_keep: Tensor, is_masked: Tensor) -> None:
    """Raise unless each of num_keep (B,) lies between 0 and the number masked. It reads the values back."""
    num_masked = is_masked.sum(-1)
    if (row := _first_row((num_keep < 0) | (num_keep > num_masked))) is not None:
        raise ValueError(
            f"{op}: num_keep[{row}] must lie between 0 and {int(num_masked[row])}, the number masked "
            f"in its row, got {int(num_keep[row])}. Bound it with num_keep.minimum(is_masked.sum(-1))."
        )


def check_order(op: str, order: Tensor, seed: int | None) -> None:
    """Raise unless each of order (B,) is 1, -1 or, given a seed, 0. It reads the values back."""
    if (row := _first_row((order < -1) | (order > 1))) is not None:
        raise ValueError(
            f"{op}: order[{row}] must be 1 (highest scores), -1 (lowest scores) or 0 (random), got {int(order[row])}."
        )
    if seed is None and (row := _first_row(order == 0)) is not None:
        raise ValueError(f"{op}: seed must be given, as order[{row}] is 0 (random), got None. Pass an int.")


def check_seed_given(op: str, device: torch.device) -> None:
    """Raise where no seed was given and the values of `order` are not read to see whether one is needed."""
    if device.type not in ("cpu", "meta"):
        raise ValueError(
            f"{op}: seed must be given on {device}, where order is not read back to see whether a row is random (0), "
            "got None. Pass an int."
        )


def _first_row(is_wrong: Tensor) -> int | None:
    rows: list[int] = is_wrong.nonzero()[:1, 0].tolist()
    return rows[0] if rows else None
