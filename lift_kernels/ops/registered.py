"""The linear cross-entropy ops as torch sees them: schemas, fake implementations and autograd.

Registered with torch.library, so that `torch.compile(fullgraph=True)` and autograd treat each as one node. All
tensors are flat here: hidden_states (N, D), weight (V, D), bias (V,), targets (N,). Rows that are not wanted are
dropped inside, before any matrix product, so shapes never depend on data outside.

Optional outputs are empty tensors, as a registered op cannot return None.
"""

from __future__ import annotations

from types import ModuleType

import torch
from torch import Tensor

from lift_kernels.linear_head import LinearHead, Wanted, gradient_dtype
from lift_kernels.ops.autocast import exactly_as_given
from lift_kernels.ops.implementation import implementation
from lift_kernels.ops.saved_gradients import refuse_double_backward, save_gradients, scale_gradients
from lift_kernels.ops.wanted_rows import WantedRows, empty_stats, full_gradients


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
    wants_hidden_states: bool,
    wants_weight: bool,
    wants_bias: bool,
    with_stats: bool,
    workspace_bytes: int | None,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """(sum_i token_weight_i nll_i, its gradients for hidden_states, weight and bias, the five statistics)."""
    with exactly_as_given(hidden_states):
        head = LinearHead(weight, None if bias is None else bias.contiguous(), logit_scale, logit_softcap)
        rows = WantedRows.find(targets, ignore_index, num_targets, token_weight, weight.shape[0])
        row_weight = rows.values(token_weight)
        compute = head_implementation("linear_cross_entropy", backend, hidden_states)
        stats, _, gradients = compute.loss_gradients(
            rows.take(hidden_states, compute), head, rows.values(targets), row_weight,
            Wanted(wants_hidden_states, wants_weight, wants_bias), workspace_bytes=workspace_bytes, complete=with_stats,
        )  # fmt: skip
        return (
            weighted_nll(stats.log_prob, row_weight),
            *full_gradients(gradients, rows, hidden_states, compute),
            *(rows.spread_stats(stats) if with_stats else empty_stats(hidden_states, 0)),
        )


@linear_cross_entropy_sum.register_fake
def _(
    hidden_states, weight, bias, targets, token_weight, ignore_index, num_targets, logit_scale, logit_softcap,
    wants_hidden_states, wants_weight, wants_bias, with_stats, workspace_bytes, backend,
):  # fmt: skip
    return (
        token_weight.new_empty(()),
        *empty_gradients(hidden_states, weight, wants_hidden_states, wants_weight, wants_bias),
        *empty_stats(hidden_states, targets.shape[0] if with_stats else 0),
    )


def weighted_nll(log_prob: Tensor, token_weight: Tensor) -> Tensor:
    """-sum_i token_weight_i log_prob_i, where a weight of 0 also silences a log-probability of -inf."""
    return -torch.dot(log_prob.where(token_weight != 0, 0), token_weight)


def head_implementation(op: str, backend: str, hidden_states: Tensor) -> ModuleType:
    return implementation("linear_cross_entropy", op, backend, hidden_states.device, hidden_states.dtype)


def empty_gradients(hidden_states, weight, wants_hidden_states, wants_weight, wants_bias):
    dtype = gradient_dtype(hidden_states.dtype)
    return (
        hidden_states.new_empty(hidden_states.shape if wants_hidden_states else 0, dtype=dtype),
        weight.new_empty(weight.shape if wants_weight else 0, dtype=dtype),
        weight.new_empty(weight.shape[0] if wants_bias else 0, dtype=dtype),
    )


linear_cross_entropy_sum.register_autograd(scale_gradients, setup_context=save_gradients)


@torch.library.custom_op("lift_kernels::linear_token_stats", mutates_args=())
def token_stats(
    hidden_states: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor | None,
    token_weight: Tensor | None,  # rows of weight 0 are dropped; its values play no other part
    ignore_index: int,
    num_targets: int | None,
    logit_scale: float,
    logit_softcap: float | None,
    complete: bool,
    workspace_bytes: int | None,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """(log_prob, lse, entropy, max_log_prob, argmax), each (N,); log_prob is differentiable, computing again."""
    with exactly_as_given(hidden_states):
        head = LinearHead(weight, None if bias is None else bias.contiguous(), logit_scale, logit_softcap)
        compute = head_implementation("linear_token_stats", backend, hidden_states)
        if targets is None:
            stats = compute.token_stats(hidden_states, head, None, workspace_bytes=workspace_bytes, complete=complete)
            return torch.zeros_like(stats.lse), *stats[1:]
        rows = WantedRows.find(targets, ignore_index, num_targets, token_weight, weight.shape[0])
        return rows.spread_stats(
            compute.token_stats(
                rows.take(hidden_states, compute), head, rows.values(targets), workspace_bytes=workspace_bytes,
                complete=complete,
            )
        )  # fmt: skip


@token_stats.register_fake
def _(
    hidden_states, weight, bias, targets, token_weight, ignore_index, num_targets, logit_scale, logit_softcap,
    complete, workspace_bytes, backend,
):  # fmt: skip
    return empty_stats(hidden_states, hidden_states.shape[0])


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
    num_targets: int | None,
    logit_scale: float,
    logit_softcap: float | None,
    wants_hidden_states: bool,
    wants_weight: bool,
    wants_bias: bool,
    workspace_bytes: int | None,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of sum_i grad_nll_i nll_i for hidden_states, weight and bias, from the saved statistics."""
    with exactly_as_given(hidden_states):
        head = LinearHead(weight, None if bias is None else bias.contiguous(), logit_scale, logit_softcap)
        rows = WantedRows.find(targets, ignore_index, num_targets, grad_nll, weight.shape[0])
        compute = head_implementation("linear_cross_entropy", backend, hidden_states)
        gradients = compute.gradients_from_stats(
            rows.take(hidden_states, compute), head, rows.values(targets), rows.values(grad_nll), rows.values(lse),
            rows.values(log_prob), Wanted(wants_hidden_states, wants_weight, wants_bias),
            workspace_bytes=workspace_bytes,
        )  # fmt: skip
        return full_gradients(gradients, rows, hidden_states, compute)


@nll_gradients.register_fake
def _(
    grad_nll, hidden_states, weight, bias, targets, lse, log_prob, ignore_index, num_targets, logit_scale,
    logit_softcap, wants_hidden_states, wants_weight, wants_bias, workspace_bytes, backend,
):  # fmt: skip
    return empty_gradients(hidden_states, weight, wants_hidden_states, wants_weight, wants_bias)


def _save_for_recompute(ctx, inputs, output):
    log_prob, lse, *_ = output
    hidden_states, weight, bias, targets, _, *settings, _, ctx.workspace_bytes, ctx.backend = inputs
    ctx.settings = settings  # ignore_index, num_targets, logit_scale, logit_softcap
    ctx.num_inputs = len(inputs)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(hidden_states, weight, bias, targets, lse, log_prob)


def _recompute_gradients(ctx, grad_log_prob, *_):
    refuse_double_backward()
    if grad_log_prob is None:
        return (None,) * ctx.num_inputs
    leaves, wants = ctx.saved_tensors[:3], ctx.needs_input_grad[:3]
    gradients = nll_gradients(
        -grad_log_prob, *ctx.saved_tensors, *ctx.settings, *wants, ctx.workspace_bytes, ctx.backend
    )
    return (
        *(
            gradient.to(leaf.dtype) if wanted else None
            for gradient, leaf, wanted in zip(gradients, leaves, wants, strict=True)
        ),
        *(None,) * (ctx.num_inputs - 3),
    )


token_stats.register_autograd(_recompute_gradients, setup_context=_save_for_recompute)
