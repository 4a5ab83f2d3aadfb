"""`linear_cross_entropy` with its sum and gradients: eagerly, and as torch sees it registered, with fake and autograd.

Registered with torch.library, so that `torch.compile(fullgraph=True)` and tracing treat it as one node. All tensors
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
from lift_kernels.ops.op_outputs import HeadLoss, empty_gradients, empty_stats, full_gradients, weighted_nll
from lift_kernels.ops.saved_gradients import eager_loss, needs_grad_of, runs_eagerly, save_gradients, scale_gradients

_OP = "linear_cross_entropy"


def summed_loss(
    hidden_states: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    token_weight: Tensor,  # (N,) in the statistics dtype, the denominator already in it
    ignore_index: int,
    exclude_index: int | None,
    num_targets: int | None,
    logit_scale: float,
    logit_softcap: float | None,
    all_stats: bool,
    workspace_bytes: int | None,
    backend: str,
) -> tuple[Tensor, ...]:
    """Return (sum_i token_weight_i nll_i, the five statistics, empty unless `all_stats`)."""
    if runs_eagerly(hidden_states, weight, bias, targets, token_weight):

        def compute(
            hidden_states: Tensor, weight: Tensor, bias: Tensor | None, needs_grad: NeedsGrad, may_defer: bool
        ) -> HeadLoss:
            return _loss(
                hidden_states, weight, bias, targets, token_weight, ignore_index, exclude_index, num_targets,
                logit_scale, logit_softcap, needs_grad, all_stats, workspace_bytes, backend, may_defer,
            )  # fmt: skip

        return eager_loss(_OP, hidden_states, weight, bias, compute)
    loss, _, _, _, *stats = linear_cross_entropy_sum(
        hidden_states, weight, bias, targets, token_weight, ignore_index, exclude_index, num_targets, logit_scale,
        logit_softcap, *needs_grad_of(hidden_states, weight, bias), all_stats, workspace_bytes, backend,
    )  # fmt: skip
    return (loss, *stats)


def _loss(
    hidden_states: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    token_weight: Tensor,
    ignore_index: int,
    exclude_index: int | None,
    num_targets: int | None,
    logit_scale: float,
    logit_softcap: float | None,
    needs_grad: NeedsGrad,
    all_stats: bool,
    workspace_bytes: int | None,
    backend: str,
    may_defer: bool,
) -> HeadLoss:
    with exactly_as_given(_OP, hidden_states):
        head = LinearHead.of(weight, bias, logit_scale, logit_softcap, exclude_index)
        rows = ActiveRows.find(targets, ignore_index, num_targets, token_weight, weight.shape[0], exclude_index)
        row_weight = rows.mark(rows.values(token_weight))
        compute = head_backend(_OP, backend, hidden_states)
        stats, _, gradients = compute.loss_gradients(
            rows.take(hidden_states, compute), head, rows.targets(targets), row_weight, needs_grad,
            workspace_bytes=workspace_bytes, all_stats=all_stats, may_defer=may_defer and rows.index.shape[0] > 0,
        )  # fmt: skip
        loss = rows.mark(weighted_nll(stats.log_prob, row_weight))
        others = rows.spread_stats(stats)[:5] if all_stats else empty_stats(hidden_states, 0)
        return HeadLoss(loss, gradients, rows, compute, others)


@torch.library.custom_op("lift_kernels::linear_cross_entropy", mutates_args=())
def linear_cross_entropy_sum(
    hidden_states: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    token_weight: Tensor,
    ignore_index: int,
    exclude_index: int | None,
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
    needs_grad = NeedsGrad(needs_grad_hidden_states, needs_grad_weight, needs_grad_bias)
    result = _loss(
        hidden_states, weight, bias, targets, token_weight, ignore_index, exclude_index, num_targets, logit_scale,
        logit_softcap, needs_grad, all_stats, workspace_bytes, backend, may_defer=False,
    )  # fmt: skip
    gradients = full_gradients(result.gradients, result.rows, hidden_states, result.backend)
    return (result.loss, *gradients, *result.others)  # type: ignore[return-value]


@linear_cross_entropy_sum.register_fake
def _(
    hidden_states, weight, bias, targets, token_weight, ignore_index, exclude_index, num_targets, logit_scale,
    logit_softcap, needs_grad_hidden_states, needs_grad_weight, needs_grad_bias, all_stats, workspace_bytes, backend,
):  # fmt: skip
    return (
        token_weight.new_empty(()),
        *empty_gradients(hidden_states, weight, needs_grad_hidden_states, needs_grad_weight, needs_grad_bias),
        *empty_stats(hidden_states, targets.shape[0] if all_stats else 0),
    )


linear_cross_entropy_sum.register_autograd(partial(scale_gradients, _OP), setup_context=save_gradients)
