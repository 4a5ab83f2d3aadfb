"""Gather statistics of softmax rows block by block over the vocabulary, each logit seen once.

With m the running maximum, kept per row: s = sum exp(z - m), q = sum (z - m) exp(z - m), the target's logit and the
most likely token. Then lse = m + log s and entropy = log s - q / s; centring q on m avoids the cancellation of
lse - E[z] for large logits.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lift_kernels.linear_head import RowStats


@dataclass(frozen=True)
class OnlineSoftmax:
    """Running statistics of N rows; `self[rows]` is a view that updates the whole."""

    max: Tensor  # (N,)
    sum: Tensor  # (N,)
    weighted_sum: Tensor  # (N,), q above
    target_logit: Tensor  # (N,), logit of the target
    argmax: Tensor  # (N,) int64

    @classmethod
    def zeros(cls, num_rows: int, dtype: torch.dtype, device: torch.device) -> OnlineSoftmax:
        # The least finite number, not -inf: -inf - -inf is nan where a whole block of logits is -inf.
        lowest = torch.full((num_rows,), torch.finfo(dtype).min, dtype=dtype, device=device)
        zero = torch.zeros(num_rows, dtype=dtype, device=device)
        return cls(lowest, zero, zero.clone(), zero.clone(), torch.zeros(num_rows, dtype=torch.int64, device=device))

    def __getitem__(self, rows: slice) -> OnlineSoftmax:
        return OnlineSoftmax(
            self.max[rows], self.sum[rows], self.weighted_sum[rows], self.target_logit[rows], self.argmax[rows]
        )

    def new_buffer(self, size: int) -> Tensor:
        return self.max.new_empty(size)

    def update(
        self, z: Tensor, columns: slice, targets: Tensor | None, *, all_stats: bool, out: Tensor | None = None
    ) -> Tensor:
        """Take in the logits z (N, K) of the vocabulary entries `columns`.

        Leaves exp(z - new max) in `out`, by default in z itself, and returns exp(old max - new max) (N,): the factor
        that brings sums kept by the caller to the new maximum. `all_stats` also keeps what entropy and argmax need.
        """
        if targets is not None:
            is_inside, target_logit = read_at_targets(z, targets, columns)
            torch.where(is_inside, target_logit, self.target_logit, out=self.target_logit)
        if all_stats:
            block_max, block_argmax = z.max(1)
            torch.where(block_max > self.max, block_argmax + columns.start, self.argmax, out=self.argmax)
        else:
            block_max = z.amax(1)
        new_max = torch.maximum(self.max, block_max)
        correction = torch.exp(self.max - new_max)
        exponentials = torch.sub(z, new_max[:, None], out=z if out is None else out)
        if all_stats:
            self.weighted_sum.add_((self.max - new_max) * self.sum).mul_(correction)
            centred = exponentials.clamp(min=torch.finfo(z.dtype).min)  # 0 * -inf is nan
            exponentials.exp_()
            self.weighted_sum.add_(torch.linalg.vecdot(centred, exponentials))
        else:
            exponentials.exp_()
        self.sum.mul_(correction).add_(exponentials.sum(1))
        self.max.copy_(new_max)
        return correction

    def log_prob(self) -> Tensor:
        # Relative to the maximum first: both terms are small where the model is sure, so nothing is lost.
        return (self.target_logit - self.max) - self.sum.log()

    def finish(self) -> RowStats:
        log_sum = self.sum.log()
        entropy = (log_sum - self.weighted_sum / self.sum).clamp(min=0)
        return RowStats(self.log_prob(), self.max + log_sum, entropy, -log_sum, self.argmax)


def read_at_targets(z: Tensor, targets: Tensor, columns: slice) -> tuple[Tensor, Tensor]:
    """Return whether each row's target lies in `columns` (N,), and its logit there (N,)."""
    local = targets - columns.start
    is_inside = (local >= 0) & (local < z.shape[1])
    return is_inside, z.gather(1, local.clamp(0, z.shape[1] - 1)[:, None])[:, 0]


def write_at_targets(z: Tensor, targets: Tensor, columns: slice, value: Tensor) -> None:
    """Write `value` (N,) in place of each row's target, where it lies in `columns`."""
    is_inside, before = read_at_targets(z, targets, columns)
    local = (targets - columns.start).clamp(0, z.shape[1] - 1)
    z.scatter_(1, local[:, None], torch.where(is_inside, value, before)[:, None])
