"""`linear_cross_entropy` with its sum and gradients as torch sees it: schema, fake implementation and autograd.

Registered with torch.library, so that `torch.compile(fullgraph=True)` and autograd treat it as one node. All tensors
are flat here: hidden_states (N, D), weight (V, D), bias (V,), targets (N,). Rows that take no part are dropped inside,
before any matrix product, so shapes never depend on data outside.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from lift_kernels.linear_head import LinearHead, NeedsGrad
from lift_kernels.ops.active_rows import ActiveRows
from lift_kernels.ops.autocast import exactly_as_given
from lift_kernels.ops.implementation import head_backend
from lift_kernels.ops.op_outputs import empty_gradients, empty_stats, full_gradients, weighted_nll
from lift_kernels.ops.saved_gradients import save_gradients, scale_gradients


@torch.library.custom_op("lift_kernels::linear_cross_entropy", mutates_args=())
def linear_cross_entropy_sum(
    hidden_states: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    token_weight: Tensor,  # (N,) in the statistics dtype, the denominator already in it
    ignore_index: int,
    num_targets: int | None,
    logit_scale: float,
    logit_softcap: float | None,
    needs_grad_hidden_states: bool,
    needs_grad_weight: bool,
    needs_grad_bias: bool,
    all_stats: bool,
    workspace_bytes: int | None,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return (sum_i token_weight_i nll_i, its gradients for hidden_states, weight and bias, the five statistics)."""
    with exactly_as_given("linear_cross_entropy", hidden_states):
        head = LinearHead(weight, None if bias is None else bias.contiguous(), logit_scale, logit_softcap)
        rows = ActiveRows.find(targets, ignore_index, num_targets, token_weight, weight.shape[0])
        row_weight = rows.values(token_weight)
        compute = head_backend("linear_cross_entropy", backend, hidden_states)
        stats, _, gradients = compute.loss_gradients(
            rows.take(hidden_states, compute), head, rows.values(targets), row_weight,
            NeedsGrad(needs_grad_hidden_states, needs_grad_weight, needs_grad_bias),
            workspace_bytes=workspace_bytes, all_stats=all_stats,
        )  # fmt: skip
        return (
            weighted_nll(stats.log_prob, row_weight),
            *full_gradients(gradients, rows, hidden_states, compute),
            *(rows.spread_stats(stats) if all_stats else empty_stats(hidden_states, 0)),
        )


@linear_cross_entropy_sum.register_fake
def _(
    hidden_states, weight, bias, targets, token_weight, ignore_index, num_targets, logit_scale, logit_softcap,
    needs_grad_hidden_states, needs_grad_weight, needs_grad_bias, all_stats, workspace_bytes, backend,
):  # fmt: skip
    return (
        token_weight.new_empty(()),
        *empty_gradients(hidden_states, weight, needs_grad_hidden_states, needs_grad_weight, needs_grad_bias),
        *empty_stats(hidden_states, targets.shape[0] if all_stats else 0),
    )


linear_cross_entropy_sum.register_autograd(
    partial(scale_gradients, "linear_cross_entropy"), setup_context=save_gradients
)
