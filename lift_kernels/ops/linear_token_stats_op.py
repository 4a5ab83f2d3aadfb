"""Statistics of each token as torch sees them: schema, fake implementation, and autograd that computes again.

Tensors are flat, and rows that take no part are dropped inside, as in `linear_cross_entropy_op`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels.linear_head import LinearHead, NeedsGrad
from lift_kernels.ops.active_rows import ActiveRows
from lift_kernels.ops.autocast import exactly_as_given
from lift_kernels.ops.implementation import head_backend
from lift_kernels.ops.op_outputs import empty_gradients, empty_stats, full_gradients
from lift_kernels.ops.saved_gradients import refuse_double_backward


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
    all_stats: bool,
    workspace_bytes: int | None,
    backend: str,
    op: str = "linear_token_stats",  # what errors name
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return (log_prob, lse, entropy, max_log_prob, argmax), each (N,); log_prob is differentiable, computing again."""
    with exactly_as_given(op, hidden_states):
        head = LinearHead(weight, None if bias is None else bias.contiguous(), logit_scale, logit_softcap)
        compute = head_backend(op, backend, hidden_states)
        if targets is None:
            stats = compute.token_stats(hidden_states, head, None, workspace_bytes=workspace_bytes, all_stats=all_stats)
            return torch.zeros_like(stats.lse), *stats[1:]
        rows = ActiveRows.find(targets, ignore_index, num_targets, token_weight, weight.shape[0])
        return rows.spread_stats(
            compute.token_stats(
                rows.take(hidden_states, compute), head, rows.values(targets), workspace_bytes=workspace_bytes,
                all_stats=all_stats,
            )
        )  # fmt: skip


@token_stats.register_fake
def _(
    hidden_states, weight, bias, targets, token_weight, ignore_index, num_targets, logit_scale, logit_softcap,
    all_stats, workspace_bytes, backend, op="linear_token_stats",
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
    needs_grad_hidden_states: bool,
    needs_grad_weight: bool,
    needs_grad_bias: bool,
    workspace_bytes: int | None,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of sum_i grad_nll_i nll_i for hidden_states, weight and bias, from the saved statistics."""
    with exactly_as_given("linear_cross_entropy", hidden_states):
        head = LinearHead(weight, None if bias is None else bias.contiguous(), logit_scale, logit_softcap)
        rows = ActiveRows.find(targets, ignore_index, num_targets, grad_nll, weight.shape[0])
        compute = head_backend("linear_cross_entropy", backend, hidden_states)
        gradients = compute.gradients_from_stats(
            rows.take(hidden_states, compute), head, rows.values(targets), rows.values(grad_nll), rows.values(lse),
            rows.values(log_prob), NeedsGrad(needs_grad_hidden_states, needs_grad_weight, needs_grad_bias),
            workspace_bytes=workspace_bytes,
        )  # fmt: skip
        return full_gradients(gradients, rows, hidden_states, compute)


@nll_gradients.register_fake
def _(
    grad_nll, hidden_states, weight, bias, targets, lse, log_prob, ignore_index, num_targets, logit_scale,
    logit_softcap, needs_grad_hidden_states, needs_grad_weight, needs_grad_bias, workspace_bytes, backend,
):  # fmt: skip
    return empty_gradients(hidden_states, weight, needs_grad_hidden_states, needs_grad_weight, needs_grad_bias)


def _save_for_recompute(ctx, inputs, output):
    log_prob, lse, *_ = output
    hidden_states, weight, bias, targets, _, *settings, _, ctx.workspace_bytes, ctx.backend, _ = inputs
    ctx.settings = settings  # ignore_index, num_targets, logit_scale, logit_softcap
    ctx.num_inputs = len(inputs)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(hidden_states, weight, bias, targets, lse, log_prob)


def _recompute_gradients(ctx, grad_log_prob, *_):
    refuse_double_backward("linear_cross_entropy")
    if grad_log_prob is None:
        return (None,) * ctx.num_inputs
    # Read once: each reading unpacks, which activation checkpointing forbids and offloading pays with a copy.
    saved, needs_grad = ctx.saved_tensors, ctx.needs_input_grad[:3]
    leaves = saved[:3]
    gradients = nll_gradients(-grad_log_prob, *saved, *ctx.settings, *needs_grad, ctx.workspace_bytes, ctx.backend)
    return (
        *(
            gradient.to(leaf.dtype) if is_needed else None
            for gradient, leaf, is_needed in zip(gradients, leaves, needs_grad, strict=True)
        ),
        *(None,) * (ctx.num_inputs - 3),
    )


token_stats.register_autograd(_recompute_gradients, setup_context=_save_for_recompute)
