"""Gradients of a head from the statistics of its rows, as registered ops: the backward passes that compute again."""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels.linear_head import LinearHead, NeedsGrad, RowStats, StatsGrad
from lift_kernels.ops.active_rows import ActiveRows
from lift_kernels.ops.autocast import exactly_as_given
from lift_kernels.ops.implementation import head_backend
from lift_kernels.ops.op_outputs import empty_gradients, full_gradients


@torch.library.custom_op("lift_kernels::linear_cross_entropy_backward", mutates_args=())
def nll_gradients(
    grad_nll: Tensor,  # (N,)
    hidden_states: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    lse: Tensor,
    log_prob: Tensor,
    ignore_index: int,
    exclude_index: int | None,
    num_targets: int | None,
    logit_scale: float,
    logit_softcap: float | None,
    needs_grad_hidden_states: bool,
    needs_grad_weight: bool,
    needs_grad_bias: bool,
    workspace_bytes: int | None,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of sum_i grad_nll_i nll_i for hidden_states, weight and bias, from the saved statistics."""
    op = "linear_cross_entropy"
    with exactly_as_given(op, hidden_states):
        head = LinearHead.of(weight, bias, logit_scale, logit_softcap, exclude_index)
        rows = ActiveRows.find(targets, ignore_index, num_targets, grad_nll, weight.shape[0], exclude_index)
        compute = head_backend(op, backend, hidden_states)
        gradients = compute.gradients_from_stats(
            rows.take(hidden_states, compute), head, rows.targets(targets), rows.mark(rows.values(grad_nll)),
            rows.values(lse), rows.values(log_prob),
            NeedsGrad(needs_grad_hidden_states, needs_grad_weight, needs_grad_bias), workspace_bytes=workspace_bytes,
        )  # fmt: skip
        return full_gradients(gradients, rows, hidden_states, compute)


@nll_gradients.register_fake
def _(
    grad_nll, hidden_states, weight, bias, targets, lse, log_prob, ignore_index, exclude_index, num_targets,
    logit_scale, logit_softcap, needs_grad_hidden_states, needs_grad_weight, needs_grad_bias, workspace_bytes, backend,
):  # fmt: skip
    return empty_gradients(hidden_states, weight, needs_grad_hidden_states, needs_grad_weight, needs_grad_bias)


@torch.library.custom_op("lift_kernels::linear_token_stats_backward", mutates_args=())
def stats_gradients(
    grad_log_prob: Tensor | None,  # (N,) each, None where the loss takes no notice of it
    grad_lse: Tensor | None,
    grad_entropy: Tensor | None,
    hidden_states: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor | None,
    log_prob: Tensor,
    lse: Tensor,
    entropy: Tensor,
    ignore_index: int,
    exclude_index: int | None,
    num_targets: int | None,
    logit_scale: float,
    logit_softcap: float | None,
    needs_grad_hidden_states: bool,
    needs_grad_weight: bool,
    needs_grad_bias: bool,
    workspace_bytes: int | None,
    backend: str,
    op: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of a loss of these statistics for hidden_states, weight and bias.

    Rows that the loss takes no notice of are dropped where that is known on the host.
    """
    with exactly_as_given(op, hidden_states):
        head = LinearHead.of(weight, bias, logit_scale, logit_softcap, exclude_index)
        compute = head_backend(op, backend, hidden_states)
        if targets is None:
            rows, grad_log_prob = ActiveRows.every(hidden_states), None
        else:
            given = [grad for grad in (grad_log_prob, grad_lse, grad_entropy) if grad is not None]
            is_used = torch.stack(given).ne(0).any(0)
            rows = ActiveRows.find(targets, ignore_index, num_targets, is_used, weight.shape[0], exclude_index)
        gradients = compute.stats_gradients(
            rows.take(hidden_states, compute), head, None if targets is None else rows.targets(targets),
            RowStats(*(rows.values(values) for values in (log_prob, lse, entropy, lse, lse))),
            StatsGrad(
                *(
                    None if grad is None else rows.mark(rows.values(grad))
                    for grad in (grad_log_prob, grad_lse, grad_entropy)
                )
            ),
            NeedsGrad(needs_grad_hidden_states, needs_grad_weight, needs_grad_bias),
            workspace_bytes=workspace_bytes,
        )  # fmt: skip
        return full_gradients(gradients, rows, hidden_states, compute)


@stats_gradients.register_fake
def _(
    grad_log_prob, grad_lse, grad_entropy, hidden_states, weight, bias, targets, log_prob, lse, entropy, ignore_index,
    exclude_index, num_targets, logit_scale, logit_softcap, needs_grad_hidden_states, needs_grad_weight,
    needs_grad_bias, workspace_bytes, backend, op,
):  # fmt: skip
    return empty_gradients(hidden_states, weight, needs_grad_hidden_states, needs_grad_weight, needs_grad_bias)
