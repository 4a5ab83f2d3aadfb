"""Statistics of a linear head's predictions without its logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

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


def linear_token_stats(
    hidden_states: Tensor,
    weight: Tensor,
    targets: Tensor | None = None,
    *,
    bias: Tensor | None = None,
    ignore_index: int = -100,
    num_targets: int | None = None,
    logit_scale: float = 1.0,
    logit_softcap: float | None = None,
    backend: str = "auto",
    workspace_bytes: int | None = None,
) -> TokenStats:
    """Return log-probability of the target, log-sum-exp, entropy, and the most likely token, in one pass.

    Arguments as in `linear_cross_entropy`; nothing is differentiable. Ignored tokens cost no matrix work: their
    statistics are 0 and their argmax is -1. Without targets every token is computed and log_prob is 0.

    Args:
        hidden_states: (..., D) bfloat16, float16, float32 or float64.
        weight: (V, D) the head's weight, same dtype and device.
        targets: (...) int64 in [0, V) or `ignore_index`; None for all tokens.
        bias: (V,) same dtype as weight.
        ignore_index, num_targets, logit_scale, logit_softcap, backend, workspace_bytes: see `linear_cross_entropy`.

    Returns:
        `TokenStats`, each of shape (...): four in nats, float32 (float64 for float64 inputs), and argmax int64.

    Raises:
        ValueError, TypeError: an argument's shape, dtype, device or value does not fit; the message names it.
        RuntimeError: `backend="triton"` cannot run here, or torch.func or forward-mode AD asks for a derivative.

    Source: the log-probability of the target is LIFT's learnability score (arXiv 2605.22939).
    """
    hidden_states, weight, bias = head_inputs(_OP, hidden_states, weight, bias)
    (targets,) = checks.local(_OP, targets=targets)
    checks.check_head_options(
        _OP, ignore_index=ignore_index, num_targets=num_targets, logit_scale=logit_scale, logit_softcap=logit_softcap,
        workspace_bytes=workspace_bytes, backend=backend,
    )  # fmt: skip
    if targets is not None:
        checks.check_targets(_OP, targets, hidden_states)
        checks.check_same_device(_OP, hidden_states=hidden_states, targets=targets)
    shape = hidden_states.shape[:-1]
    with torch.no_grad():
        stats = token_stats(
            hidden_states.reshape(-1, hidden_states.shape[-1]), weight, bias,
            None if targets is None else targets.reshape(-1), None, ignore_index, num_targets, logit_scale,
            logit_softcap, True, workspace_bytes, backend,
        )  # fmt: skip
    return TokenStats.from_flat(stats, shape)
