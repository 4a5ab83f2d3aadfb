"""Drop the rows that take no part before any matrix product, and put results back in their places."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lift_kernels.checks import check_count, check_vocabulary
from lift_kernels.linear_head import HeadBackend, RowStats
from lift_kernels.ops.late_errors import raise_reported, report_later


@dataclass(frozen=True)
class ActiveRows:
    """The rows of N that take part: `index` (M,) int64, ascending."""

    index: Tensor
    num_rows: int  # N
    is_wrong: Tensor | None = None  # 0-d bool on an accelerator, where a wrong argument is not known on the host

    @classmethod
    def find(
        cls,
        targets: Tensor,
        ignore_index: int,
        num_targets: int | None,
        token_weight: Tensor | None,
        vocab_size: int,
        exclude_index: int | None = None,
        name: str = "targets",
    ) -> ActiveRows:
        """Return the rows that are neither ignored nor of weight 0; an error calls the targets `name`.

        On an accelerator the caller's count spares reading one back; rows of weight 0 then stay, as how many there are
        is not known on the host. A wrong count, or a target that is excluded, makes the results nan there (`mark`), and
        is an error of a later call.
        """
        is_target = targets != ignore_index
        if _is_read(targets):
            check_count(num_targets, int(is_target.sum()))
            check_vocabulary(targets[is_target], vocab_size, name, exclude_index)
            return cls(_taking_part(is_target, token_weight), targets.shape[0])
        raise_reported()
        is_wrong = None
        if num_targets is not None:
            index, is_wrong = counted_rows(is_target, num_targets)
        elif targets.device.type == "cuda" and torch.cuda.is_current_stream_capturing():
            raise RuntimeError(
                "num_targets must be given while a CUDA graph is captured: without it the number of targets is read "
                "back from the device. Pass the count of targets that are not ignored; every replay must have as many."
            )
        else:
            index = _taking_part(is_target, token_weight)
        if exclude_index is not None:
            is_excluded = (is_target & (targets == exclude_index)).any()
            report_later(
                is_excluded,
                f"in an earlier call, whose results are nan, a value of {name} was exclude_index, {exclude_index}, "
                "which has no probability. Check what masks the input.",
            )
            is_wrong = is_excluded if is_wrong is None else is_wrong | is_excluded
        return cls(index, targets.shape[0], is_wrong)

    @classmethod
    def every(cls, rows: Tensor) -> ActiveRows:
        """Return all of the rows (N, ...)."""
        return cls(torch.arange(rows.shape[0], device=rows.device), rows.shape[0])

    @property
    def are_all(self) -> bool:
        """Whether no row was dropped."""
        return self.index.shape[0] == self.num_rows

    def mark(self, values: Tensor) -> Tensor:
        """Return the values, or nan in place of all of them where an argument was wrong."""
        return values if self.is_wrong is None else values.masked_fill(self.is_wrong, torch.nan)

    def mark_loss(self, loss: Tensor, hidden_states: Tensor) -> Tensor:
        """Return the loss (0-d) of these rows of hidden_states (N, ...): nan, its gradients too, where wrong."""
        if self.is_wrong is None:
            return loss
        factor = loss.new_ones(()).masked_fill(self.is_wrong, torch.nan)
        if self.index.shape[0] == 0:  # nothing to multiply: a wrong count of 0 reaches the model past the loss
            loss = loss + torch.where(self.is_wrong, hidden_states, 0).sum()
        return loss * factor

    def values(self, values: Tensor) -> Tensor:
        """Return the values (N,) of these rows: (M,), contiguous."""
        return values.contiguous() if self.are_all else values[self.index]

    def targets(self, targets: Tensor) -> Tensor:
        """Return the targets (N,) of these rows: (M,); entries of the vocabulary also where the count was wrong."""
        targets = self.values(targets)
        return targets if self.is_wrong is None else targets.masked_fill(self.is_wrong, 0)

    def take(self, rows: Tensor, backend: HeadBackend) -> Tensor:
        """Return these rows of (N, D): (M, D)."""
        return rows if self.are_all else backend.take_rows(rows, self.index)

    def spread(self, rows: Tensor, backend: HeadBackend) -> Tensor:
        """Return (N, D) with rows (M, D) in their places, and 0 elsewhere."""
        return rows if self.are_all else backend.spread_rows(rows, self.index, self.num_rows)

    def spread_stats(self, stats: RowStats) -> RowStats:
        """Return statistics (N,): 0 in dropped rows, and argmax -1."""
        log_prob, lse, entropy, max_log_prob = (self.mark(self.spread_values(values, 0)) for values in stats[:4])
        runner_up, rank = stats.runner_up_log_prob, stats.rank
        return RowStats(
            log_prob, lse, entropy, max_log_prob, self.spread_values(stats.argmax, -1),
            None if runner_up is None else self.mark(self.spread_values(runner_up, 0)),
            None if rank is None else self.spread_values(rank, 0),
        )  # fmt: skip

    def spread_values(self, values: Tensor, fill: int) -> Tensor:
        """Return (N,) with values (M,) in their places, and `fill` elsewhere."""
        return values.new_full((self.num_rows,), fill).index_copy_(0, self.index, values)


def counted_rows(is_target: Tensor, num_targets: int) -> tuple[Tensor, Tensor]:
    """Return indices (num_targets,) of the rows of is_target (N,), and whether they are not that many; 0-d bool.

    Nothing is read back. Where the count is wrong the indices are some rows or other.
    """
    is_wrong = is_target.sum() != num_targets
    report_later(
        is_wrong,
        f"num_targets must be the number of targets that are not ignored, and {num_targets} was not in an earlier "
        "call, whose results are nan. Count the labels that reach the op, after any shift.",
    )
    size = num_targets if is_target.numel() else 0
    return torch.nonzero_static(is_target, size=size, fill_value=0)[:, 0], is_wrong


def _is_read(targets: Tensor) -> bool:
    """Whether values of tensors like this one may be read: elsewhere that would synchronise a device."""
    return targets.device.type == "cpu"


def _taking_part(is_target: Tensor, token_weight: Tensor | None) -> Tensor:
    return (is_target if token_weight is None else is_target & (token_weight != 0)).nonzero()[:, 0]
