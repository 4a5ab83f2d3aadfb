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
from lift_kernels.ops.op_outputs import empty_stats, filled_stats
from lift_kernels.ops.saved_gradients import refuse_double_backward
from lift_kernels.ops.stats_gradients import nll_gradients, stats_gradients


@torch.library.custom_op("lift_kernels::linear_token_stats", mutates_args=())
def token_stats(
    hidden_states: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor | None,
    token_weight: Tensor | None,  # rows of weight 0 are dropped; its values play no other part
    ignore_index: int,
    exclude_index: int | None,
    num_targets: int | None,
    logit_scale: float,
    logit_softcap: float | None,
    all_stats: bool,
    runner_up: bool,
    rank: bool,
    workspace_bytes: int | None,
    backend: str,
    op: str = "linear_token_stats",  # what errors name
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return log_prob, lse, entropy, max_log_prob, argmax, runner_up_log_prob and rank, (N,), or (0,) if not asked for.

    The first three are differentiable: what they come from is computed again.
    """
    with exactly_as_given(op, hidden_states):
        head = LinearHead.of(weight, bias, logit_scale, logit_softcap, exclude_index)
        compute = head_backend(op, backend, hidden_states)
        if targets is None:
            stats = compute.token_stats(
                hidden_states, head, None, workspace_bytes=workspace_bytes, all_stats=all_stats, runner_up=runner_up
            )
            return filled_stats(stats._replace(log_prob=torch.zeros_like(stats.lse)))
        rows = ActiveRows.find(targets, ignore_index, num_targets, token_weight, weight.shape[0], exclude_index)
        stats = compute.token_stats(
            rows.take(hidden_states, compute), head, rows.targets(targets), workspace_bytes=workspace_bytes,
            all_stats=all_stats, runner_up=runner_up, rank=rank,
        )  # fmt: skip
        return filled_stats(rows.spread_stats(stats))


@token_stats.register_fake
def _(
    hidden_states, weight, bias, targets, token_weight, ignore_index, exclude_index, num_targets, logit_scale,
    logit_softcap, all_stats, runner_up, rank, workspace_bytes, backend, op="linear_token_stats",
):  # fmt: skip
    size = hidden_states.shape[0]
    *_, runner_up_log_prob, _ = empty_stats(hidden_states, size if runner_up or rank else 0)
    return (*empty_stats(hidden_states, size), runner_up_log_prob, empty_stats(hidden_states, size if rank else 0)[-1])


def _save_for_recompute(ctx, inputs, output):
    log_prob, lse, entropy, *_ = output
    hidden_states, weight, bias, targets, _, *settings, _, _, _, ctx.workspace_bytes, ctx.backend, ctx.op = inputs
    ctx.settings = settings  # ignore_index, exclude_index, num_targets, logit_scale, logit_softcap
    ctx.num_inputs = len(inputs)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(hidden_states, weight, bias, targets, lse, log_prob, entropy)


def _recompute_gradients(ctx, grad_log_prob, grad_lse, grad_entropy, *_):
    refuse_double_backward(ctx.op)
    needs_grad = NeedsGrad(*ctx.needs_input_grad[:3])
    if grad_log_prob is None and grad_lse is None and grad_entropy is None:
        return (None,) * ctx.num_inputs
    # Read once: each reading unpacks, which activation checkpointing forbids and offloading pays with a copy.
    *leaves, targets, lse, log_prob, entropy = ctx.saved_tensors
    rest = (*ctx.settings, *needs_grad, ctx.workspace_bytes, ctx.backend)
    if grad_lse is None and grad_entropy is None and targets is not None:
        gradients = nll_gradients(-grad_log_prob, *leaves, targets, lse, log_prob, *rest)
    else:
        gradients = stats_gradients(
            grad_log_prob, grad_lse, grad_entropy, *leaves, targets, log_prob, lse, entropy, *rest, ctx.op
        )  # fmt: skip
    return (
        *(
            gradient.to(leaf.dtype) if is_needed else None
            for gradient, leaf, is_needed in zip(gradients, leaves, needs_grad, strict=True)
        ),
        *(None,) * (ctx.num_inputs - 3),
    )


token_stats.register_autograd(_recompute_gradients, setup_context=_save_for_recompute)
