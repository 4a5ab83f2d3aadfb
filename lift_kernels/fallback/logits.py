"""The logits of a linear head, a block of the vocabulary at a time and transposed: (K, N)."""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels.fallback.matmul import HeadRows, LogitProduct
from lift_kernels.fallback.tiles import Tiling
from lift_kernels.linear_head import LinearHead, statistics_dtype


class LogitTiles:
    """Compute tiles of the logits of some rows (N, D), one after the other into the same memory."""

    def __init__(self, hidden_states: Tensor, head: LinearHead, tiling: Tiling, head_rows: HeadRows) -> None:
        self.head, self.head_rows, self.num_rows = head, head_rows, hidden_states.shape[0]
        self.product = LogitProduct(hidden_states)
        dtype = statistics_dtype(hidden_states.dtype)
        self.buffer = hidden_states.new_empty(tiling.columns * self.product.row_distance, dtype=dtype)

    def __call__(self, columns: slice) -> tuple[Tensor, Tensor]:
        """Return the logits (K, N) of the entries `columns`, and their rows (K, D) of the head as an operand."""
        head = self.head
        rows, operand = self.head_rows[columns]
        z = self.product(rows, self.buffer)
        if head.bias is not None:
            z += head.bias[columns, None].to(z.dtype)
        if head.scale != 1.0:
            z *= head.scale
        if head.softcap is not None:
            z.div_(head.softcap).tanh_().mul_(head.softcap)
        if head.exclude_index is not None and columns.start <= head.exclude_index < columns.stop:
            z[head.exclude_index - columns.start] = -torch.inf
        return z, operand


def logit_slope(head: LinearHead, z: Tensor) -> Tensor | None:
    """Return d logit / d (scale * (h W^T + b)) of logits of any shape, or None where it is 1.

    That of a logit of -inf, which has no probability, is 0.
    """
    return None if head.softcap is None else (z / head.softcap).square_().clamp_(max=1).neg_().add_(1)


def take_targets(z: Tensor, targets: Tensor, columns: slice, target_logit: Tensor) -> Tensor:
    """Take each row's target out of z (K, N), leaving -inf, where it lies in `columns`.

    Returns: the targets' logits (N,), and those of `target_logit` for the rows whose target lies elsewhere.
    """
    local = targets - columns.start
    is_inside = (local >= 0) & (local < z.shape[0])
    local = local.clamp(0, z.shape[0] - 1)[None]
    before = z.gather(0, local)[0]
    z.scatter_(0, local, before.masked_fill(is_inside, -torch.inf)[None])
    return torch.where(is_inside, before, target_logit)
