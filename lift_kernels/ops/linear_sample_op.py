"""Drawn tokens as torch sees them: schema and fake implementation; tensors are flat."""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels.linear_head import Draws, LinearHead, statistics_dtype
from lift_kernels.ops.autocast import exactly_as_given
from lift_kernels.ops.implementation import sampling_backend


@torch.library.custom_op("lift_kernels::linear_sample", mutates_args=())
def sample(
    hidden_states: Tensor,  # (N, D)
    weight: Tensor,
    bias: Tensor | None,
    row_ids: Tensor,  # (N,) int64
    positions: Tensor,  # (N,) int64
    seed: int,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    exclude_index: int | None,
    logit_scale: float,
    logit_softcap: float | None,
    workspace_bytes: int | None,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (token, log_prob, entropy), each (N,)."""
    with exactly_as_given("linear_sample", hidden_states):
        head = LinearHead.of(weight, bias, logit_scale, logit_softcap, exclude_index)
        draws = Draws(seed, row_ids.contiguous(), positions.contiguous(), temperature)
        compute = sampling_backend("linear_sample", backend, hidden_states)
        if temperature == 0 or (top_k is None and top_p is None):
            found = compute.sample_rows(hidden_states, head, draws, workspace_bytes=workspace_bytes)
        else:
            from lift_kernels.fallback.filtered_sampling import sample_filtered_rows

            found = sample_filtered_rows(
                hidden_states, head, draws, top_k=top_k, top_p=top_p, workspace_bytes=workspace_bytes
            )
        return found.token, found.log_prob, found.entropy


@sample.register_fake
def _(
    hidden_states, weight, bias, row_ids, positions, seed, temperature, top_k, top_p, exclude_index, logit_scale,
    logit_softcap, workspace_bytes, backend,
):  # fmt: skip
    size, dtype = hidden_states.shape[0], statistics_dtype(hidden_states.dtype)
    log_prob, entropy = (hidden_states.new_empty(size, dtype=dtype) for _ in range(2))
    return hidden_states.new_empty(size, dtype=torch.int64), log_prob, entropy
