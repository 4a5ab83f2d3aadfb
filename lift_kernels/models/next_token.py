"""Move labels and results of models whose hidden state at position i predicts token i + 1, such as Dream.

Labels, weights and results are moved by one position, never hidden states or logits. The first position of a row is
predicted by nothing: the published code gives it all-zero logits, so a constant loss of log V and no gradient
(`first_position="zeros"`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

from lift_kernels.ops.linear_token_stats import TokenStats

FIRST_POSITION = ("ignore", "zeros")


def to_predictor(values: Tensor, fill: float) -> Tensor:
    """Return values (B, L) of the tokens, each at the position that predicts it; `fill` at the last position."""
    return pad(values[:, 1:], (0, 1), value=fill)


def to_token(values: Tensor, fill: float) -> Tensor:
    """Return values (B, L, ...) of the positions that predict, each at its token; `fill` at the first token."""
    return pad(values[:, :-1], (0, 0) * (values.dim() - 2) + (1, 0), value=fill)


def stats_to_token(stats: TokenStats) -> TokenStats:
    """Return statistics (B, L) of the positions that predict, each at its token; 0 and argmax -1 at the first.

    Here and below they may have a sixth entry, the runner-up.
    """
    moved = type(stats)(*(to_token(values, 0) for values in stats))
    return moved._replace(argmax=to_token(stats.argmax, -1))


def uniform_first_loss(
    labels: Tensor, token_weight: Tensor | None, denominator: float | Tensor, num_entries: int
) -> Tensor:
    """Return what labels (B, L) at the first position add to the loss where its logits are all zero.

    `num_entries` of the vocabulary have a probability.
    """
    weight = torch.ones_like(labels[:, 0], dtype=torch.float32) if token_weight is None else token_weight[:, 0]
    return (weight * (labels[:, 0] != -100)).sum() * math.log(num_entries) / denominator


def with_uniform_first(
    stats: TokenStats, labels: Tensor, vocab_size: int, exclude_index: int | None = None
) -> TokenStats:
    """Return the statistics (B, L) where the first position, if it has a label, has all-zero logits."""
    log_v = math.log(vocab_size - (exclude_index is not None))
    first = (-log_v, log_v, log_v, -log_v, 1 if exclude_index == 0 else 0, -log_v)
    is_labelled = labels[:, 0] != -100
    out = []
    for values, value in zip(stats, first, strict=False):  # the last where the runner-up was asked for
        values = values.clone()
        values[:, 0] = torch.where(is_labelled, value, values[:, 0])
        out.append(values)
    return type(stats)(*out)
