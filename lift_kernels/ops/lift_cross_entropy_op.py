"""LIFT's objective: eager, and registered with fake and autograd, as in `linear_cross_entropy_op`."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from lift_kernels import checks
from lift_kernels.linear_head import LinearHead, NeedsGrad
from lift_kernels.ops.active_rows import ActiveRows
from lift_kernels.ops.autocast import exactly_as_given
from lift_kernels.ops.implementation import head_backend, selection_backend
from lift_kernels.ops.op_outputs import HeadLoss, empty_gradients, empty_stats, full_gradients, weighted_nll
from lift_kernels.ops.saved_gradients import eager_loss, needs_grad_of, runs_eagerly, save_gradients, scale_gradients
from lift_kernels.ops.soft_learnability import soft_learnability

_OP = "lift_cross_entropy"


def lift_loss(
    hidden_states: Tensor,  # (N, D) with N = B * L
    weight: Tensor,
    bias: Tensor | None,
    labels: Tensor,  # (B, L)
    row_weight: Tensor,  # (B,) in the statistics dtype: 1/t and the denominator
    timestep: Tensor,  # (B,) in the statistics dtype
    num_keep: Tensor,
    order: Tensor,
    row_ids: Tensor | None,
    seed: int | None,
    is_soft: bool,
    temperature: float,
    ignore_index: int,
    exclude_index: int | None,
    num_targets: int | None,
    logit_scale: float,
    logit_softcap: float | None,
    all_stats: bool,
    workspace_bytes: int | None,
    backend: str,
) -> tuple[Tensor, ...]:
    """Return (loss, learnability (B, L), the five statistics (N,), empty unless `all_stats`)."""
    if runs_eagerly(hidden_states, weight, bias, labels, row_weight, timestep, num_keep, order, row_ids):

        def compute(
            hidden_states: Tensor, weight: Tensor, bias: Tensor | None, needs_grad: NeedsGrad, may_defer: bool
        ) -> HeadLoss:
            return _loss(
                hidden_states, weight, bias, labels, row_weight, timestep, num_keep, order, row_ids, seed, is_soft,
                temperature, ignore_index, exclude_index, num_targets, logit_scale, logit_softcap, needs_grad,
                all_stats, workspace_bytes, backend, may_defer,
            )  # fmt: skip

        return eager_loss(_OP, hidden_states, weight, bias, compute)
    loss, _, _, _, *others = lift_cross_entropy_sum(
        hidden_states, weight, bias, labels, row_weight, timestep, num_keep, order, row_ids, seed, is_soft, temperature,
        ignore_index, exclude_index, num_targets, logit_scale, logit_softcap,
        *needs_grad_of(hidden_states, weight, bias), all_stats, workspace_bytes, backend,
    )  # fmt: skip
    return (loss, *others)


def _loss(
    hidden_states: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    labels: Tensor,
    row_weight: Tensor,
    timestep: Tensor,
    num_keep: Tensor,
    order: Tensor,
    row_ids: Tensor | None,
    seed: int | None,
    is_soft: bool,
    temperature: float,
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
        targets = labels.flatten()
        rows = ActiveRows.find(targets, ignore_index, num_targets, None, weight.shape[0], exclude_index, "labels")
        is_masked = labels != ignore_index
        if labels.device.type == "cpu":
            checks.check_num_keep(_OP, num_keep, is_masked)
            if not is_soft:
                checks.check_order(_OP, order, seed)
        selection = selection_backend(_OP, backend, labels.device)
        learnability = row_weight.new_zeros(labels.shape)

        def weigh(log_prob: Tensor) -> Tensor:  # (M,) -> (M,)
            score = rows.spread_values(log_prob, 0).view(labels.shape)
            if is_soft:
                learnability.copy_(soft_learnability(score, is_masked, num_keep, timestep, temperature))
            else:
                learnability.copy_(selection.select_tokens(score, is_masked, num_keep, order, seed, row_ids))
            return rows.mark(rows.values((learnability * row_weight[:, None]).flatten()))

        compute = head_backend(_OP, backend, hidden_states)
        head = LinearHead.of(weight, bias, logit_scale, logit_softcap, exclude_index)
        stats, token_weight, gradients = compute.loss_gradients(
            rows.take(hidden_states, compute), head, rows.targets(targets), weigh, needs_grad,
            workspace_bytes=workspace_bytes, all_stats=all_stats, may_defer=may_defer and rows.index.shape[0] > 0,
        )  # fmt: skip
        loss = rows.mark(weighted_nll(stats.log_prob, token_weight))
        others = rows.spread_stats(stats)[:5] if all_stats else empty_stats(hidden_states, 0)
        return HeadLoss(loss, gradients, rows, compute, (learnability, *others))


@torch.library.custom_op("lift_kernels::lift_cross_entropy", mutates_args=())
def lift_cross_entropy_sum(
    hidden_states: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    labels: Tensor,
    row_weight: Tensor,
    timestep: Tensor,
    num_keep: Tensor,
    order: Tensor,
    row_ids: Tensor | None,
    seed: int | None,
    is_soft: bool,
    temperature: float,
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
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return (loss, gradients for hidden_states, weight and bias, learnability (B, L), the five statistics (N,))."""
    needs_grad = NeedsGrad(needs_grad_hidden_states, needs_grad_weight, needs_grad_bias)
    result = _loss(
        hidden_states, weight, bias, labels, row_weight, timestep, num_keep, order, row_ids, seed, is_soft, temperature,
        ignore_index, exclude_index, num_targets, logit_scale, logit_softcap, needs_grad, all_stats, workspace_bytes,
        backend, may_defer=False,
    )  # fmt: skip
    gradients = full_gradients(result.gradients, result.rows, hidden_states, result.backend)
    return (result.loss, *gradients, *result.others)  # type: ignore[return-value]


@lift_cross_entropy_sum.register_fake
def _(
    hidden_states, weight, bias, labels, row_weight, timestep, num_keep, order, row_ids, seed, is_soft, temperature,
    ignore_index, exclude_index, num_targets, logit_scale, logit_softcap, needs_grad_hidden_states, needs_grad_weight,
    needs_grad_bias, all_stats, workspace_bytes, backend,
):  # fmt: skip
    return (
        row_weight.new_empty(()),
        *empty_gradients(hidden_states, weight, needs_grad_hidden_states, needs_grad_weight, needs_grad_bias),
        row_weight.new_empty(labels.shape),
        *empty_stats(hidden_states, labels.numel() if all_stats else 0),
    )


lift_cross_entropy_sum.register_autograd(partial(scale_gradients, _OP), setup_context=save_gradients)
