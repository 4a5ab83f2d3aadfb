"""The linear cross-entropy ops as torch sees them: schemas, fake implementations and autograd.

Registered with torch.library, so that `torch.compile(fullgraph=True)` and autograd treat each as one node. All
tensors are flat here: hidden_states (N, D), weight (V, D), bias (V,), targets (N,). Rows that are not wanted are
dropped inside, before any matrix product, so shapes never depend on data outside.

Optional outputs are empty tensors, as a registered op cannot return None.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels.fallback import linear_cross_entropy as fallback
from lift_kernels.fallback.linear_cross_entropy import Gradients, LinearHead, Wanted
from lift_kernels.fallback.matmul import operand_dtype, statistics_dtype
from lift_kernels.fallback.online_softmax import OnlineSoftmax
from lift_kernels.fallback.tiles import plan_tiles

_NUM_STATS = 5  # log_prob, lse, entropy, max_log_prob, argmax


@torch.library.custom_op("lift_kernels::linear_cross_entropy", mutates_args=())
def linear_cross_entropy_sum(
    hidden_states: Tensor,
    weight: Tensor,
    targets: Tensor,
    token_weight: Tensor,  # (N,) in the statistics dtype, the denominator already in it
    bias: Tensor | None,
    ignore_index: int,
    num_targets: int | None,
    logit_scale: float,
    logit_softcap: float | None,
    wants_hidden_states: bool,
    wants_weight: bool,
    wants_bias: bool,
    with_stats: bool,
    workspace_bytes: int | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """(sum_i token_weight_i nll_i, its gradients for hidden_states, weight and bias, the five statistics)."""
    with torch.autocast(hidden_states.device.type, enabled=False):
        head = LinearHead(weight, bias, logit_scale, logit_softcap)
        wanted = Wanted(wants_hidden_states, wants_weight, wants_bias)
        index = _wanted_rows(targets, ignore_index, num_targets, token_weight, weight.shape[0])
        rows, row_targets, row_weight = _take_rows(hidden_states, index), targets[index], token_weight[index]
        if wanted.any:
            stats, gradients = fallback.loss_gradients(
                rows, head, row_targets, row_weight, wanted, workspace_bytes=workspace_bytes, complete=with_stats
            )
        else:
            stats = fallback.token_stats(rows, head, row_targets, workspace_bytes=workspace_bytes, complete=with_stats)
            gradients = Gradients(None, None, None)
        loss = -torch.dot(stats.log_prob(), row_weight)
        return (
            loss,
            *_full_gradients(gradients, index, hidden_states),
            *(_full_stats(stats, index, targets) if with_stats else _empty_stats(hidden_states, 0)),
        )


@linear_cross_entropy_sum.register_fake
def _(
    hidden_states, weight, targets, token_weight, bias, ignore_index, num_targets, logit_scale, logit_softcap,
    wants_hidden_states, wants_weight, wants_bias, with_stats, workspace_bytes,
):  # fmt: skip
    dtype = operand_dtype(hidden_states)
    return (
        token_weight.new_empty(()),
        hidden_states.new_empty(hidden_states.shape if wants_hidden_states else 0, dtype=dtype),
        weight.new_empty(weight.shape if wants_weight else 0, dtype=dtype),
        weight.new_empty(weight.shape[0] if wants_bias else 0, dtype=dtype),
        *_empty_stats(hidden_states, targets.shape[0] if with_stats else 0),
    )


def _save_gradients(ctx, inputs, output):
    _, grad_hidden_states, grad_weight, grad_bias, *_ = output
    hidden_states, weight, _, _, bias = inputs[:5]
    ctx.dtypes = (hidden_states.dtype, weight.dtype, None if bias is None else bias.dtype)
    ctx.wanted = inputs[9:12]
    ctx.num_inputs = len(inputs)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(grad_hidden_states, grad_weight, grad_bias)


def _scale_gradients(ctx, grad_loss, *_):
    _refuse_double_backward()
    if grad_loss is None:
        return (None,) * ctx.num_inputs
    # Always out of place: autograd may keep what is returned as a leaf's .grad, which optimisers and clipping write to,
    # and another backward over the same graph must find the saved gradients as they were.
    scaled = [
        (gradient * grad_loss).to(dtype) if wanted else None
        for gradient, dtype, wanted in zip(ctx.saved_tensors, ctx.dtypes, ctx.wanted, strict=True)
    ]
    return (scaled[0], scaled[1], None, None, scaled[2], *(None,) * (ctx.num_inputs - 5))


linear_cross_entropy_sum.register_autograd(_scale_gradients, setup_context=_save_gradients)


@torch.library.custom_op("lift_kernels::linear_token_stats", mutates_args=())
def token_stats(
    hidden_states: Tensor,
    weight: Tensor,
    targets: Tensor | None,
    token_weight: Tensor | None,  # rows of weight 0 are dropped; its values play no other part
    bias: Tensor | None,
    ignore_index: int,
    num_targets: int | None,
    logit_scale: float,
    logit_softcap: float | None,
    complete: bool,
    workspace_bytes: int | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """(log_prob, lse, entropy, max_log_prob, argmax), each (N,); log_prob is differentiable, computing again."""
    with torch.autocast(hidden_states.device.type, enabled=False):
        head = LinearHead(weight, bias, logit_scale, logit_softcap)
        if targets is None:
            stats = fallback.token_stats(hidden_states, head, None, workspace_bytes=workspace_bytes, complete=complete)
            zero = torch.zeros_like(stats.max)
            return zero, stats.lse(), stats.entropy(), stats.max_log_prob(), stats.argmax
        index = _wanted_rows(targets, ignore_index, num_targets, token_weight, weight.shape[0])
        stats = fallback.token_stats(
            _take_rows(hidden_states, index), head, targets[index], workspace_bytes=workspace_bytes, complete=complete
        )
        return _full_stats(stats, index, targets)


@token_stats.register_fake
def _(
    hidden_states, weight, targets, token_weight, bias, ignore_index, num_targets, logit_scale, logit_softcap,
    complete, workspace_bytes,
):  # fmt: skip
    return _empty_stats(hidden_states, hidden_states.shape[0])


@torch.library.custom_op("lift_kernels::linear_cross_entropy_backward", mutates_args=())
def nll_gradients(
    grad_nll: Tensor,  # (N,)
    hidden_states: Tensor,
    weight: Tensor,
    targets: Tensor,
    bias: Tensor | None,
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
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of sum_i grad_nll_i nll_i for hidden_states, weight and bias, from the saved statistics."""
    with torch.autocast(hidden_states.device.type, enabled=False):
        index = _wanted_rows(targets, ignore_index, num_targets, grad_nll, weight.shape[0])
        rows = _take_rows(hidden_states, index)
        gradients = fallback.gradients_from_stats(
            rows,
            LinearHead(weight, bias, logit_scale, logit_softcap),
            targets[index],
            grad_nll[index],
            lse[index],
            log_prob[index],
            Wanted(wants_hidden_states, wants_weight, wants_bias),
            tiling=plan_tiles(rows, weight, workspace_bytes),
        )
        return _full_gradients(gradients, index, hidden_states)


@nll_gradients.register_fake
def _(
    grad_nll, hidden_states, weight, targets, bias, lse, log_prob, ignore_index, num_targets, logit_scale,
    logit_softcap, wants_hidden_states, wants_weight, wants_bias, workspace_bytes,
):  # fmt: skip
    dtype = operand_dtype(hidden_states)
    return (
        hidden_states.new_empty(hidden_states.shape if wants_hidden_states else 0, dtype=dtype),
        weight.new_empty(weight.shape if wants_weight else 0, dtype=dtype),
        weight.new_empty(weight.shape[0] if wants_bias else 0, dtype=dtype),
    )


def _save_for_recompute(ctx, inputs, output):
    log_prob, lse, *_ = output
    hidden_states, weight, targets, _, bias = inputs[:5]
    ctx.settings = (inputs[5], inputs[6], inputs[7], inputs[8])
    ctx.workspace_bytes = inputs[10]
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(hidden_states, weight, targets, bias, lse, log_prob)


def _recompute_gradients(ctx, grad_log_prob, *_):
    _refuse_double_backward()
    if grad_log_prob is None:
        return (None,) * 11
    hidden_states, weight, targets, bias, lse, log_prob = ctx.saved_tensors
    wants = (ctx.needs_input_grad[0], ctx.needs_input_grad[1], ctx.needs_input_grad[4])
    gradients = nll_gradients(
        -grad_log_prob, hidden_states, weight, targets, bias, lse, log_prob, *ctx.settings, *wants, ctx.workspace_bytes
    )
    grad_hidden_states, grad_weight, grad_bias = (
        gradient.to(tensor.dtype) if wanted else None
        for gradient, tensor, wanted in zip(gradients, (hidden_states, weight, bias), wants, strict=True)
    )
    return grad_hidden_states, grad_weight, None, None, grad_bias, *(None,) * 6


token_stats.register_autograd(_recompute_gradients, setup_context=_save_for_recompute)


def _wanted_rows(
    targets: Tensor, ignore_index: int, num_targets: int | None, token_weight: Tensor | None, vocab_size: int
) -> Tensor:
    """Indices of the rows that cost work, ascending."""
    is_target = targets != ignore_index
    if targets.device.type == "cpu":
        _check_targets(targets[is_target], num_targets, vocab_size)
    elif num_targets is not None:
        # The caller's count spares reading one back; rows of weight 0 stay, as their count is not known on the host.
        return torch.nonzero_static(is_target, size=num_targets)[:, 0]
    if token_weight is not None:
        is_target = is_target & (token_weight != 0)
    return is_target.nonzero()[:, 0]


def _take_rows(hidden_states: Tensor, index: Tensor) -> Tensor:
    return hidden_states if index.shape[0] == hidden_states.shape[0] else hidden_states[index]


def _check_targets(wanted: Tensor, num_targets: int | None, vocab_size: int) -> None:
    if num_targets is not None and num_targets != wanted.numel():
        raise ValueError(
            f"num_targets must be the number of targets that are not ignored, {wanted.numel()}, got {num_targets}."
        )
    if wanted.numel() == 0:
        return
    low, high = wanted.aminmax()
    if low < 0 or high >= vocab_size:
        raise ValueError(
            f"targets must lie in [0, {vocab_size}) or equal ignore_index, got values from "
            f"{low.item()} to {high.item()}. Check that the tokenizer and the head's vocabulary agree."
        )


def _full_gradients(gradients: Gradients, index: Tensor, hidden_states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    nothing = hidden_states.new_empty(0, dtype=operand_dtype(hidden_states))
    grad_hidden_states = gradients.hidden_states
    if grad_hidden_states is not None and index.shape[0] != hidden_states.shape[0]:
        full = hidden_states.new_zeros(hidden_states.shape, dtype=grad_hidden_states.dtype)
        grad_hidden_states = full.index_copy_(0, index, grad_hidden_states)
    return (
        nothing if grad_hidden_states is None else grad_hidden_states,
        nothing.clone() if gradients.weight is None else gradients.weight,
        nothing.clone() if gradients.bias is None else gradients.bias,
    )


def _full_stats(stats: OnlineSoftmax, index: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    def spread(values: Tensor, fill: int) -> Tensor:
        return values.new_full(targets.shape, fill).index_copy_(0, index, values)

    floats = (stats.log_prob(), stats.lse(), stats.entropy(), stats.max_log_prob())
    log_prob, lse, entropy, max_log_prob = (spread(values, 0) for values in floats)
    return log_prob, lse, entropy, max_log_prob, spread(stats.argmax, -1)


def _empty_stats(hidden_states: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    floats = (hidden_states.new_empty(size, dtype=statistics_dtype(hidden_states.dtype)) for _ in range(_NUM_STATS - 1))
    log_prob, lse, entropy, max_log_prob = floats
    return log_prob, lse, entropy, max_log_prob, hidden_states.new_empty(size, dtype=torch.int64)


def _refuse_double_backward() -> None:
    if torch.is_grad_enabled():
        raise RuntimeError(
            "linear_cross_entropy: double backward is not supported, and backward was called with create_graph=True. "
            "Build the logits with torch.nn.functional.linear where second derivatives are needed."
        )
