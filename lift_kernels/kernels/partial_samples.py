"""Keep draws and statistics of rows over parts of the vocabulary, and merge them.

Each part leaves its largest logit m, S = sum 2^(z - m) and W = sum (z - m) 2^(z - m) of its others, with z - m in bits,
and of the entry that is ahead in it the key z / temperature + noise, the logit and the token. Logits and keys are in
nats. In the merge, as in a part, the largest logit takes part in neither sum: log p = z_token - m - log(1 + S) then
keeps its digits where the token is nearly certain.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from lift_kernels.kernels.arithmetic import LN_2, LOG2_E, log1p
from lift_kernels.kernels.launch_configs import merge_partials_launch
from lift_kernels.linear_head import SampledRows

LARGEST, SUM, WEIGHTED_SUM, KEY, LOGIT = (tl.constexpr(plane) for plane in range(5))
_NUM_PLANES = 5
_LOG2_E = tl.constexpr(LOG2_E)


@dataclass(frozen=True)
class PartialSamples:
    """Of N rows over S parts: `values` (5, N, S) float32 in the order above, `token` (N, S) int32."""

    values: Tensor
    token: Tensor

    @classmethod
    def empty(cls, num_rows: int, num_parts: int, device: torch.device) -> PartialSamples:
        return cls(
            torch.empty((_NUM_PLANES, num_rows, num_parts), dtype=torch.float32, device=device),
            torch.empty((num_rows, num_parts), dtype=torch.int32, device=device),
        )

    def merge(self) -> SampledRows:
        """Return each row's token, the lowest of those ahead, and its statistics over the whole vocabulary in nats."""
        num_rows, num_parts = self.token.shape
        log_prob, entropy = (self.values.new_empty(num_rows) for _ in range(2))
        token = self.token.new_empty(num_rows, dtype=torch.int64)
        if num_rows:
            _merge_samples_kernel[(num_rows,)](
                self.values, self.token, token, log_prob, entropy, num_rows, num_parts,
                **merge_partials_launch(num_parts).options,
            )  # fmt: skip
        return SampledRows(token, log_prob, entropy)


@triton.jit(do_not_specialize=["N", "S"])
def _merge_samples_kernel(
    values_ptr, token_ptr, merged_token_ptr, log_prob_ptr, entropy_ptr, N, S, BLOCK_S: tl.constexpr
):  # fmt: skip
    i_n = tl.program_id(0).to(tl.int64)
    offs_s = tl.arange(0, BLOCK_S)
    in_s = offs_s < S
    p_values = values_ptr + i_n * S + offs_s
    part = N.to(tl.int64) * S
    keys = tl.load(p_values + KEY * part, mask=in_s, other=-float("inf"))
    ahead = tl.min(tl.where((keys == tl.max(keys, 0)) & in_s, offs_s, BLOCK_S - 1), 0)
    token = tl.load(token_ptr + i_n * S + ahead)
    logit = tl.load(values_ptr + i_n * S + ahead + LOGIT * part)

    maxima = tl.load(p_values + LARGEST * part, mask=in_s, other=-float("inf"))
    sums = tl.load(p_values + SUM * part, mask=in_s, other=0.0)
    weighted_sums = tl.load(p_values + WEIGHTED_SUM * part, mask=in_s, other=0.0)
    largest = tl.max(maxima, 0)
    own = tl.min(tl.where(maxima == largest, offs_s, BLOCK_S), 0)
    # In bits, and finite where a part holds no logit: 0 * -inf is nan. Another part's largest is one of the others.
    shift = tl.maximum(maxima - largest, -1e30) * _LOG2_E
    shrink = tl.exp2(shift)
    others = sums + tl.where(in_s & (offs_s != own), 1.0, 0.0)
    weighted_others = tl.sum((weighted_sums + shift * others) * shrink, 0)
    others = tl.sum(others * shrink, 0)
    log_sum = log1p(others)
    tl.store(merged_token_ptr + i_n, token.to(tl.int64))
    tl.store(log_prob_ptr + i_n, (logit - largest) - log_sum)
    tl.store(entropy_ptr + i_n, log_sum - weighted_others * LN_2 / (1.0 + others))
