"""Statistics of a linear head's predictions without its logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypedDict, Unpack, overload

import torch
from torch import Tensor

from lift_kernels import checks
from lift_kernels.ops.head_inputs import head_inputs
from lift_kernels.ops.linear_token_stats_op import token_stats

_OP = "linear_token_stats"


class TokenStats(NamedTuple):
    """What a head predicts at each token: tensors of one shape (...), float32 in nats but for `argmax`."""

    log_prob: Tensor  # of the target
    lse: Tensor  # log-sum-exp of the logits
    entropy: Tensor
    max_log_prob: Tensor  # of the most likely token
    argmax: Tensor  # that token, int64; ties: the lowest index

    @classmethod
    def from_flat(cls, stats: Sequence[Tensor], shape: Sequence[int]) -> TokenStats:
        """Return the five statistics (N,) in `shape`, detached."""
        return cls(*(value.detach().reshape(shape) for value in stats))


class TokenStatsWithRunnerUp(NamedTuple):
    """`TokenStats` and one more."""

    log_prob: Tensor
    lse: Tensor
    entropy: Tensor
    max_log_prob: Tensor
    argmax: Tensor
    runner_up_log_prob: Tensor  # of the second most likely token


class TokenStatsWithRank(NamedTuple):
    """`TokenStatsWithRunnerUp` and one more."""

    log_prob: Tensor
    lse: Tensor
    entropy: Tensor
    max_log_prob: Tensor
    argmax: Tensor
    runner_up_log_prob: Tensor
    rank: Tensor  # of the target, int64: 1 and the number of tokens that are more likely; 0 where there is no target


class _Options(TypedDict, total=False):
    """What `linear_token_stats` takes beside that which its overloads name."""

    bias: Tensor | None
    ignore_index: int
    exclude_index: int | None
    num_targets: int | None
    logit_scale: float
    logit_softcap: float | None
    differentiable: bool
    backend: str
    workspace_bytes: int | None


@overload
def linear_token_stats(
    hidden_states: Tensor,
    weight: Tensor,
    targets: Tensor | None = None,
    *,
    rank: Literal[True],
    runner_up: bool = False,
    **options: Unpack[_Options],
) -> TokenStatsWithRank: ...


@overload
def linear_token_stats(
    hidden_states: Tensor,
    weight: Tensor,
    targets: Tensor | None = None,
    *,
    runner_up: Literal[True],
    rank: Literal[False] = False,
    **options: Unpack[_Options],
) -> TokenStatsWithRunnerUp: ...


@overload
def linear_token_stats(
    hidden_states: Tensor,
    weight: Tensor,
    targets: Tensor | None = None,
    *,
    runner_up: Literal[False] = False,
    rank: Literal[False] = False,
    **options: Unpack[_Options],
) -> TokenStats: ...


@overload
def linear_token_stats(
    hidden_states: Tensor,
    weight: Tensor,
    targets: Tensor | None = None,
    *,
    runner_up: bool = False,
    rank: bool = False,
    **options: Unpack[_Options],
) -> TokenStats | TokenStatsWithRunnerUp | TokenStatsWithRank: ...


def linear_token_stats(
    hidden_states: Tensor,
    weight: Tensor,
    targets: Tensor | None = None,
    *,
    bias: Tensor | None = None,
    ignore_index: int = -100,
    exclude_index: int | None = None,
    num_targets: int | None = None,
    logit_scale: float = 1.0,
    logit_softcap: float | None = None,
    runner_up: bool = False,
    rank: bool = False,
    differentiable: bool = False,
    backend: str = "auto",
    workspace_bytes: int | None = None,
) -> TokenStats | TokenStatsWithRunnerUp | TokenStatsWithRank:
    """Return log-probability of the target, log-sum-exp, entropy, and the most likely token, in one pass.

    Arguments as in `linear_cross_entropy`. Ignored tokens cost no matrix work: their statistics are 0 and their argmax
    is -1. Without targets every token is computed and log_prob is 0. With `differentiable`, log_prob, lse and entropy
    take any upstream gradient: for policy gradients, confidence penalties and z-losses. The backward pass computes the
    logits again, within the workspace. The gradient of an entropy H for a logit is -p (log p + H).

    Args:
        hidden_states: (..., D) bfloat16, float16, float32 or float64.
        weight: (V, D) the head's weight, same dtype and device.
        targets: (...) int64 in [0, V) or `ignore_index`; None for all tokens.
        bias: (V,) same dtype as weight.
        ignore_index, exclude_index, num_targets, logit_scale, logit_softcap, backend, workspace_bytes: see
            `linear_cross_entropy`.
        runner_up: also give the log-probability of the second most likely token: max_log_prob less it is the margin
            that some samplers rank by. -inf where the vocabulary has no second entry.
        rank: also give that, and the rank of each target: 1 where no token is more likely. The target's logit is taken
            apart, so that a token whose logit differs from it by rounding alone counts or does not.
        differentiable: connect log_prob, lse and entropy to the inputs that require grad. The others are detached.

    Returns:
        `TokenStats`, each of shape (...): in nats, float32 (float64 for float64 inputs), but for argmax, int64. With
        `runner_up` the tuple has a sixth entry, runner_up_log_prob, and with `rank` a seventh, int64.

    Example, the mean entropy as a penalty on confidence:
        >>> stats = linear_token_stats(hidden_states, weight, labels, differentiable=True)
        >>> loss = -stats.log_prob.sum() - 0.1 * stats.entropy.sum()

    Raises:
        ValueError, TypeError: an argument's shape, dtype, device or value does not fit; the message names it.
        RuntimeError: `backend="triton"` cannot run here; torch.func or forward-mode AD asks for a derivative; double
            backward.

    Source: the log-probability of the target is LIFT's learnability score (arXiv 2605.22939).
    """
    hidden_states, weight, bias = head_inputs(_OP, hidden_states, weight, bias)
    (targets,) = checks.local(_OP, targets=targets)
    checks.check_head_options(
        _OP, ignore_index=ignore_index, num_targets=num_targets, logit_scale=logit_scale, logit_softcap=logit_softcap,
        workspace_bytes=workspace_bytes, backend=backend, exclude_index=exclude_index, vocab_size=weight.shape[0],
    )  # fmt: skip
    checks.check_bool(_OP, "runner_up", runner_up)
    checks.check_bool(_OP, "rank", rank)
    checks.check_bool(_OP, "differentiable", differentiable)
    if rank and targets is None:
        raise ValueError(f"{_OP}: rank is that of targets: give targets, or leave rank out.")
    if targets is not None:
        checks.check_targets(_OP, targets, hidden_states)
        checks.check_same_device(_OP, hidden_states=hidden_states, targets=targets)
    shape = hidden_states.shape[:-1]
    with torch.set_grad_enabled(differentiable and torch.is_grad_enabled()):
        *stats, runner_up_log_prob, target_rank = token_stats(
            hidden_states.reshape(-1, hidden_states.shape[-1]), weight, bias,
            None if targets is None else targets.reshape(-1), None, ignore_index, exclude_index, num_targets,
            logit_scale, logit_softcap, True, runner_up, rank, workspace_bytes, backend,
        )  # fmt: skip
        result = TokenStats.from_flat(stats, shape)
        if differentiable:
            log_prob, lse, entropy = (values.reshape(shape) for values in stats[:3])
            result = result._replace(log_prob=log_prob, lse=lse, entropy=entropy)
        if not (runner_up or rank):
            return result
        with_runner_up = TokenStatsWithRunnerUp(*result, runner_up_log_prob.detach().reshape(shape))
        return TokenStatsWithRank(*with_runner_up, target_rank.reshape(shape)) if rank else with_runner_up
