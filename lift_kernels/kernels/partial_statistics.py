"""Keep statistics of softmax rows over parts of the vocabulary, and merge them.

Each part leaves, relative to a reference r of its own, sum exp(z - r), sum (z - r) exp(z - r), its largest logit, the
target's logit and the first column of the largest. Merging needs neither locks nor atomics, and its order is fixed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from lift_kernels.kernels.arithmetic import LOWEST
from lift_kernels.kernels.launch_configs import merge_partials_launch
from lift_kernels.linear_head import RowStats

REFERENCE, SUM, WEIGHTED_SUM, MAX, TARGET_LOGIT = range(5)


@dataclass(frozen=True)
class PartialStatistics:
    """Of N rows over S parts.

    `values` (5, N, S) float32 in the order above; TARGET_LOGIT is -inf in parts that do not hold the target, and a part
    without a finite logit leaves LOWEST as reference and 0 as sums. `argmax` (N, S) int32.
    """

    values: Tensor
    argmax: Tensor

    @classmethod
    def empty(cls, num_rows: int, num_parts: int, device: torch.device) -> PartialStatistics:
        return cls(
            torch.empty((5, num_rows, num_parts), dtype=torch.float32, device=device),
            torch.empty((num_rows, num_parts), dtype=torch.int32, device=device),
        )

    def merge(self) -> RowStats:
        """Return statistics over the whole vocabulary; each log-probability is 0 at most."""
        _, num_rows, num_parts = self.values.shape
        # Not views of one tensor: registered ops may not return tensors that share memory.
        log_prob, lse, entropy, max_log_prob = (self.values.new_empty(num_rows) for _ in range(4))
        merged = RowStats(log_prob, lse, entropy, max_log_prob, self.argmax.new_empty(num_rows, dtype=torch.int64))
        if num_rows:
            _merge_partials_kernel[(num_rows,)](
                self.values, self.argmax, *merged, num_rows, num_parts,
                **merge_partials_launch(num_parts).options,
            )  # fmt: skip
        return merged


@triton.jit(do_not_specialize=["N", "S"])
def _merge_partials_kernel(
    values_ptr, argmax_ptr, log_prob_ptr, lse_ptr, entropy_ptr, max_log_prob_ptr, merged_argmax_ptr,
    N, S, BLOCK_S: tl.constexpr,
):  # fmt: skip
    i_n = tl.program_id(0).to(tl.int64)
    offs_s = tl.arange(0, BLOCK_S)
    in_s = offs_s < S
    p_values = values_ptr + i_n * S + offs_s
    part = N.to(tl.int64) * S
    # First, as it is done with two of six values of each part before the others are in registers.
    maxima = tl.load(p_values + 3 * part, mask=in_s, other=-float("inf"))
    argmaxima = tl.load(argmax_ptr + i_n * S + offs_s, mask=in_s, other=2147483647)
    largest = tl.max(maxima, 0)
    argmax = tl.min(tl.where((maxima == largest) & in_s, argmaxima, 2147483647), 0)

    reference = tl.load(p_values, mask=in_s, other=LOWEST)
    sums = tl.load(p_values + part, mask=in_s, other=0.0)
    weighted_sums = tl.load(p_values + 2 * part, mask=in_s, other=0.0)
    target_logit = tl.max(tl.load(p_values + 4 * part, mask=in_s, other=-float("inf")), 0)

    # Everything relative to the largest logit: where the model is sure, log_prob is then a difference of small terms.
    base = tl.maximum(largest, LOWEST)
    shift = reference - base
    shrink = tl.exp(shift)
    total = tl.sum(sums * shrink, 0)
    weighted_total = tl.sum(tl.where(sums > 0, (weighted_sums + shift * sums) * shrink, 0.0), 0)
    log_total = tl.log(total)
    # `where`, not minimum and maximum: those drop a nan.
    log_prob = (target_logit - base) - log_total
    entropy = log_total - weighted_total / total
    tl.store(log_prob_ptr + i_n, tl.where(log_prob > 0, 0.0, log_prob))
    tl.store(lse_ptr + i_n, base + log_total)
    tl.store(entropy_ptr + i_n, tl.where(entropy < 0, 0.0, entropy))
    tl.store(max_log_prob_ptr + i_n, -log_total)
    tl.store(merged_argmax_ptr + i_n, argmax.to(tl.int64))
