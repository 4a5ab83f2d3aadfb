"""What every backend of the linear cross-entropy takes and gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

# Weights of the rows, or how to form them from the log-probabilities of their targets once all of those are known.
TokenWeight = Tensor | Callable[[Tensor], Tensor]


class LinearHead(NamedTuple):
    """logits = softcap * tanh(scale * (h W^T + b) / softcap), without the tanh when softcap is None."""

    weight: Tensor  # (V, D)
    bias: Tensor | None = None  # (V,)
    scale: float = 1.0
    softcap: float | None = None


class RowStats(NamedTuple):
    """Statistics of N rows, each (N,), in nats but for `argmax` (int64)."""

    log_prob: Tensor  # of the target
    lse: Tensor
    entropy: Tensor
    max_log_prob: Tensor
    argmax: Tensor


class Wanted(NamedTuple):
    """Which gradients are asked for."""

    hidden_states: bool
    weight: bool
    bias: bool

    @property
    def head(self) -> bool:
        return self.weight or self.bias


class Gradients(NamedTuple):
    """Gradients of sum_i token_weight_i * nll_i; None where not asked for."""

    hidden_states: Tensor | None = None  # (N, D)
    weight: Tensor | None = None  # (V, D)
    bias: Tensor | None = None  # (V,)


def statistics_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype of losses and statistics for inputs of `dtype`: float32, or float64 for float64."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def gradient_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which gradients for inputs of `dtype` are formed and kept until the backward pass.

    float16 is widened: 1/t weights of up to 1000 and probabilities below 6e-8 do not both fit its range.
    """
    return torch.float32 if dtype == torch.float16 else dtype
