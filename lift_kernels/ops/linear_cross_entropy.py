"""Cross-entropy of a linear head without its logits."""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels import checks
from lift_kernels.linear_head import statistics_dtype
from lift_kernels.ops.head_inputs import head_inputs
from lift_kernels.ops.linear_cross_entropy_op import summed_loss
from lift_kernels.ops.linear_token_stats import TokenStats
from lift_kernels.ops.linear_token_stats_op import token_stats

_OP = "linear_cross_entropy"
REDUCTIONS = ("mean", "sum", "none")


def linear_cross_entropy(
    hidden_states: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    token_weight: Tensor | None = None,
    bias: Tensor | None = None,
    ignore_index: int = -100,
    exclude_index: int | None = None,
    reduction: str = "mean",
    denominator: float | Tensor | None = None,
    num_targets: int | None = None,
    logit_scale: float = 1.0,
    logit_softcap: float | None = None,
    return_stats: bool = False,
    backend: str = "auto",
    workspace_bytes: int | None = None,
) -> Tensor | tuple[Tensor, TokenStats]:
    """Return sum_i token_weight_i * CE(logits_i, targets_i), never holding the (N, V) logits.

    logits_i = logit_scale * (hidden_states_i weight^T + bias), then logit_softcap * tanh(logits_i / logit_softcap)
    where a softcap is given. Ignored rows and rows of weight 0 are dropped before any matrix product. For "sum" and
    "mean" the gradients are formed during the forward pass, so the backward pass only scales them: two products of
    2 N D V operations when the head is frozen, three when it is trained (four where the logits of the rows left exceed
    `workspace_bytes`). "none" accepts any upstream gradient and computes the logits again for it.
    lift_kernels/README.md has the paths of each backend.

    Args:
        hidden_states: (..., D) bfloat16, float16, float32 or float64.
        weight: (V, D) the head's weight, same dtype and device.
        targets: (...) int64 in [0, V), or `ignore_index`.
        token_weight: (...) floating, a constant factor per token, for instance 1/t; may be 0 or negative, and anything
            where a target is ignored.
        bias: (V,) same dtype as weight.
        ignore_index: target of tokens that take no part.
        exclude_index: an entry of the vocabulary that has no probability, such as the mask token where the model never
            predicts it (SUBS, Sahoo et al. 2024, arXiv 2406.07524): its logit counts as -inf, no gradient flows to its
            row or its bias, and no target may equal it.
        reduction: "mean", "sum" or "none".
        denominator: positive float or 0-d tensor that "mean" divides by; by default the number of targets that are
            not ignored, whatever their weights, and at least 1. A tensor that holds NaN makes the loss NaN.
        num_targets: that number, where it is known on the host: then nothing synchronises with an accelerator
            (there, rows of weight 0 are then computed like the others). A CUDA graph needs it, and keeps it: every
            replay must have as many targets. A wrong count is a ValueError on a CPU; elsewhere loss, statistics and
            gradients are nan, and on CUDA a later call of an op raises the ValueError.
        logit_scale: positive factor on the logits.
        logit_softcap: positive bound of the logits, or None.
        return_stats: also return the statistics of the tokens that were computed.
        backend: "auto", "torch" or "triton".
        workspace_bytes: bound of the scratch memory; by default 256 MiB on a CPU and 1 GiB elsewhere. Not part of it
            are the inputs, the rows gathered from them, the gradients asked for and, for a head trained in several
            passes, one float32 copy of a gradient: of hidden_states in the torch backend, of weight in Triton's.

    Returns:
        The loss: 0-d, or (...) for "none" with 0 where ignored; float32 (float64 for float64 inputs), in nats. With
        no row left it is 0 and still connected to every input that requires grad. With `return_stats`,
        (loss, `TokenStats`); tokens that were dropped have statistics 0 and argmax -1. The statistics are detached.

    Raises:
        ValueError, TypeError: an argument's shape, dtype, device or value does not fit; the message names it.
            It is read on the CPU only: what is out of range on an accelerator gives what the formula gives, and a
            target equal to exclude_index what a wrong num_targets gives.
        RuntimeError: `backend="triton"` cannot run here; double backward, forward-mode AD, or a derivative by
            torch.func.

    Numerics: products in the input dtype accumulate in float32; logits, softmax, loss and statistics are float32; the
    gradient of the target's logit is formed from the others' probabilities, so both keep their relative precision where
    the model is sure. A loss or statistic is within 1e-4 nats + 1e-5 |z|, z the row's largest logit, of float64: tensor
    cores truncate as they accumulate bfloat16 products. Deterministic.

    Source: the 1/t-weighted loss of masked diffusion, Nie et al. 2025 (LLaDA, arXiv 2502.09992, equation 3).
    """
    hidden_states, weight, bias = head_inputs(_OP, hidden_states, weight, bias)
    targets, token_weight, denominator = checks.local(
        _OP, targets=targets, token_weight=token_weight, denominator=denominator
    )
    checks.check_head_options(
        _OP, ignore_index=ignore_index, num_targets=num_targets, logit_scale=logit_scale, logit_softcap=logit_softcap,
        workspace_bytes=workspace_bytes, backend=backend, exclude_index=exclude_index, vocab_size=weight.shape[0],
    )  # fmt: skip
    checks.check_choice(_OP, "reduction", reduction, REDUCTIONS)
    checks.check_bool(_OP, "return_stats", return_stats)
    checks.check_targets(_OP, targets, hidden_states)
    checks.check_same_device(_OP, hidden_states=hidden_states, targets=targets)
    checks.refuse_transforms(_OP, token_weight, denominator)
    checks.check_token_weight(_OP, token_weight, targets, ignore_index)
    checks.check_denominator(_OP, denominator, reduction, hidden_states.device)
    flat_hidden_states = hidden_states.reshape(-1, hidden_states.shape[-1])
    flat_targets = targets.reshape(-1)
    dtype = statistics_dtype(hidden_states.dtype)
    flat_weight = None if token_weight is None else token_weight.detach().reshape(-1).to(dtype)

    if reduction == "none":
        stats = token_stats(
            flat_hidden_states, weight, bias, flat_targets, flat_weight, ignore_index, exclude_index,
            num_targets, logit_scale, logit_softcap, return_stats, False, False, workspace_bytes, backend, _OP,
        )  # fmt: skip
        is_silent = flat_targets == ignore_index
        nll = -stats[0]
        if flat_weight is not None:
            nll, is_silent = nll * flat_weight, is_silent | (flat_weight == 0)
        loss = torch.where(is_silent, 0.0, nll).reshape(targets.shape)
        return (loss, TokenStats.from_flat(stats[:5], targets.shape)) if return_stats else loss

    if flat_weight is None:
        flat_weight = torch.ones(flat_targets.shape, dtype=dtype, device=flat_targets.device)
    if reduction == "mean":
        if denominator is None:
            denominator = (
                (flat_targets != ignore_index).sum().clamp(min=1) if num_targets is None else max(num_targets, 1)
            )
        flat_weight = flat_weight / denominator
    loss, *stats = summed_loss(
        flat_hidden_states, weight, bias, flat_targets, flat_weight, ignore_index, exclude_index, num_targets,
        logit_scale, logit_softcap, return_stats, workspace_bytes, backend,
    )  # fmt: skip
    return (loss, TokenStats.from_flat(stats, targets.shape)) if return_stats else loss
