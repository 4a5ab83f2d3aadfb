"""Drop the rows that take no part before any matrix product, and put results back in their places."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lift_kernels.checks import check_count, check_vocabulary
from lift_kernels.linear_head import HeadBackend, RowStats


@dataclass(frozen=True)
class ActiveRows:
    """The rows of N that take part: `index` (M,) int64, ascending."""

    index: Tensor
    num_rows: int  # N

    @classmethod
    def find(
        cls,
        targets: Tensor,
        ignore_index: int,
        num_targets: int | None,
        token_weight: Tensor | None,
        vocab_size: int,
        name: str = "targets",
    ) -> ActiveRows:
        """Return the rows that are neither ignored nor of weight 0; an error calls the targets `name`.

        On an accelerator the caller's count spares reading one back; rows of weight 0 then stay, as how many there are
        is not known on the host.
        """
        is_target = targets != ignore_index
        if targets.device.type == "cpu":
            check_count(num_targets, int(is_target.sum()))
            check_vocabulary(targets[is_target], vocab_size, name)
        elif num_targets is not None and targets.numel() > 0:
            return cls(counted_rows(is_target, num_targets), targets.shape[0])
        elif targets.device.type == "cuda" and torch.cuda.is_current_stream_capturing():
            raise RuntimeError(
                "num_targets must be given while a CUDA graph is captured: without it the number of targets is read "
                "back from the device. Pass the count of targets that are not ignored; every replay must have as many."
            )
        if token_weight is not None:
            is_target = is_target & (token_weight != 0)
        return cls(is_target.nonzero()[:, 0], targets.shape[0])

    @property
    def are_all(self) -> bool:
        """Whether no row was dropped."""
        return self.index.shape[0] == self.num_rows

    def values(self, values: Tensor) -> Tensor:
        """Return the values (N,) of these rows: (M,), contiguous."""
        return values.contiguous() if self.are_all else values[self.index]

    def take(self, rows: Tensor, backend: HeadBackend) -> Tensor:
        """Return these rows of (N, D): (M, D)."""
        return rows if self.are_all else backend.take_rows(rows, self.index)

    def spread(self, rows: Tensor, backend: HeadBackend) -> Tensor:
        """Return (N, D) with rows (M, D) in their places, and 0 elsewhere."""
        return rows if self.are_all else backend.spread_rows(rows, self.index, self.num_rows)

    def spread_stats(self, stats: RowStats) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return (log_prob, lse, entropy, max_log_prob, argmax), each (N,): 0 and argmax -1 in dropped rows."""
        floats = (self.spread_values(values, 0) for values in stats[:-1])
        log_prob, lse, entropy, max_log_prob = floats
        return log_prob, lse, entropy, max_log_prob, self.spread_values(stats.argmax, -1)

    def spread_values(self, values: Tensor, fill: int) -> Tensor:
        """Return (N,) with values (M,) in their places, and `fill` elsewhere."""
        return values.new_full((self.num_rows,), fill).index_copy_(0, self.index, values)


def counted_rows(is_target: Tensor, num_targets: int) -> Tensor:
    """Return indices (num_targets,) of the rows of is_target (N,), which must be that many; nothing is read back."""
    torch._assert_async(
        is_target.sum() == num_targets, "num_targets must be the number of targets that are not ignored"
    )
    return torch.nonzero_static(is_target, size=num_targets)[:, 0]
