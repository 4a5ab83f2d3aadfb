"""Keep statistics of softmax rows over parts of the vocabulary, and merge them.

Each part leaves, relative to a reference r of its own, sum 2^(z - r) and sum (z - r) 2^(z - r) over the columns that
are not the target's, and, over all, its largest logit, the target's, the first column of the largest, on request its
second largest logit and how many of the others lie above the target; logits z are in bits. Merging needs neither locks
nor atomics, and its order is fixed.

The target stays out of the sums so that its log-probability, -log1p(the others / its own), keeps its digits however
near to 0 it is. In a sum with the target those of a share below 1e-7 would be lost.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from lift_kernels.kernels.arithmetic import LN_2, LOG2_E, LOWEST, log1p
from lift_kernels.kernels.launch_configs import merge_partials_launch
from lift_kernels.linear_head import LinearHead, RowStats

REFERENCE, SUM, WEIGHTED_SUM, MAX, TARGET_LOGIT, RUNNER_UP, NUM_ABOVE = (tl.constexpr(plane) for plane in range(7))


_THRESHOLD_ROWS = 256  # widened at a time, with their targets' rows of the head: 12 MiB at D = 4096


def target_thresholds(hidden_states: Tensor, head: LinearHead, targets: Tensor) -> Tensor:
    """Return the targets' logits (N,) float32 in bits, above which others are counted; any for one outside [0, V)."""
    known = targets.clamp(0, head.weight.shape[0] - 1)
    parts = zip(hidden_states.split(_THRESHOLD_ROWS), known.split(_THRESHOLD_ROWS), strict=True)
    return torch.cat([head.logits_of(*part) for part in parts]) * LOG2_E


@dataclass(frozen=True)
class PartialStatistics:
    """Of N rows over S parts.

    `values` (5, 6 or 7, N, S) float32 in the order above; TARGET_LOGIT is -inf in parts that do not hold the target,
    RUNNER_UP in those of one column, and a part without a finite logit leaves LOWEST as reference and 0 as sums.
    `argmax` (N, S) int32.
    """

    values: Tensor
    argmax: Tensor

    @classmethod
    def empty(
        cls, num_rows: int, num_parts: int, device: torch.device, *, runner_up: bool = False, rank: bool = False
    ) -> PartialStatistics:
        """`rank` makes room for the runner-up too."""
        return cls(
            torch.empty(
                (7 if rank else 6 if runner_up else 5, num_rows, num_parts), dtype=torch.float32, device=device
            ),
            torch.empty((num_rows, num_parts), dtype=torch.int32, device=device),
        )

    @property
    def has_runner_up(self) -> bool:
        return self.values.shape[0] > 5

    @property
    def has_rank(self) -> bool:
        return self.values.shape[0] > 6

    def merge(self) -> RowStats:
        """Return statistics over the whole vocabulary, in nats; each log-probability is 0 at most."""
        _, num_rows, num_parts = self.values.shape
        # Not views of one tensor: registered ops may not return tensors that share memory.
        log_prob, lse, entropy, max_log_prob = (self.values.new_empty(num_rows) for _ in range(4))
        runner_up = self.values.new_empty(num_rows) if self.has_runner_up else None
        argmax = self.argmax.new_empty(num_rows, dtype=torch.int64)
        rank = torch.empty_like(argmax) if self.has_rank else None
        merged = RowStats(log_prob, lse, entropy, max_log_prob, argmax, runner_up, rank)
        if num_rows:
            _merge_partials_kernel[(num_rows,)](
                self.values, self.argmax, *merged, num_rows, num_parts, HAS_RUNNER_UP=self.has_runner_up,
                HAS_RANK=self.has_rank,
                **merge_partials_launch(num_parts).options,
            )  # fmt: skip
        return merged


@triton.jit(do_not_specialize=["N", "S"])
def _merge_partials_kernel(
    values_ptr, argmax_ptr, log_prob_ptr, lse_ptr, entropy_ptr, max_log_prob_ptr, merged_argmax_ptr, runner_up_ptr,
    rank_ptr, N, S, HAS_RUNNER_UP: tl.constexpr, HAS_RANK: tl.constexpr, BLOCK_S: tl.constexpr,
):  # fmt: skip
    i_n = tl.program_id(0).to(tl.int64)
    offs_s = tl.arange(0, BLOCK_S)
    in_s = offs_s < S
    p_values = values_ptr + i_n * S + offs_s
    part = N.to(tl.int64) * S
    # First, as it is done with these before the others are in registers.
    maxima = tl.load(p_values + MAX * part, mask=in_s, other=-float("inf"))
    argmaxima = tl.load(argmax_ptr + i_n * S + offs_s, mask=in_s, other=2147483647)
    largest = tl.max(maxima, 0)
    argmax = tl.min(tl.where((maxima == largest) & in_s, argmaxima, 2147483647), 0)
    if HAS_RUNNER_UP:
        first = tl.min(tl.where(maxima == largest, offs_s, BLOCK_S), 0)
        seconds = tl.load(p_values + RUNNER_UP * part, mask=in_s, other=-float("inf"))
        runner_up = tl.max(tl.where(offs_s == first, seconds, maxima), 0)
    if HAS_RANK:
        num_above = tl.load(p_values + NUM_ABOVE * part, mask=in_s, other=0.0)
        tl.store(rank_ptr + i_n, 1 + tl.sum(num_above.to(tl.int64), 0))

    reference = tl.load(p_values + REFERENCE * part, mask=in_s, other=LOWEST)
    sums = tl.load(p_values + SUM * part, mask=in_s, other=0.0)
    weighted_sums = tl.load(p_values + WEIGHTED_SUM * part, mask=in_s, other=0.0)
    target_logits = tl.load(p_values + TARGET_LOGIT * part, mask=in_s, other=-float("inf"))
    # One part at most has it, and a sum keeps its nan.
    is_there = target_logits != -float("inf")
    target_logit = tl.where(
        tl.max(is_there.to(tl.int32), 0) > 0, tl.sum(tl.where(is_there, target_logits, 0.0), 0), -float("inf")
    )

    # Everything relative to the largest logit.
    base = tl.maximum(largest, LOWEST)
    shift = reference - base
    shrink = tl.exp2(shift)
    others = tl.sum(sums * shrink, 0)
    weighted_others = tl.sum(tl.where(sums > 0, (weighted_sums + shift * sums) * shrink, 0.0), 0)
    gap = target_logit - base
    own = tl.exp2(gap)
    total = others + own
    # Of a target that is the most likely token, a sum of small terms only.
    log_total = tl.where(gap == 0, log1p(others), tl.log(total))
    # `where`, not minimum and maximum: those drop a nan.
    log_prob = gap * LN_2 - log_total
    entropy = log_total - LN_2 * (weighted_others + tl.where(own > 0, gap, 0.0) * own) / total
    tl.store(log_prob_ptr + i_n, tl.where(log_prob > 0, 0.0, log_prob))
    tl.store(lse_ptr + i_n, base * LN_2 + log_total)
    tl.store(entropy_ptr + i_n, tl.where(entropy < 0, 0.0, entropy))
    tl.store(max_log_prob_ptr + i_n, -log_total)
    tl.store(merged_argmax_ptr + i_n, argmax.to(tl.int64))
    if HAS_RUNNER_UP:
        tl.store(runner_up_ptr + i_n, (runner_up - base) * LN_2 - log_total)
