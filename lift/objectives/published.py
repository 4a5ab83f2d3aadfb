"""What LIFT's published code (arXiv 2605.22939) does otherwise than the defaults here; README.md lists all of it."""

from __future__ import annotations

import random
from collections.abc import Iterator

import torch
from torch import Tensor

from lift.objectives.methods import modes_of

_PUBLISHED_SEED = 1234


def random_orders(method: str) -> Iterator[int]:
    """Yield the published code's modes under the random policy: one a micro-batch, the same on every process."""
    modes = modes_of(method)
    generator = random.Random(_PUBLISHED_SEED)
    while True:
        yield generator.choices(modes, weights=[1 / len(modes)] * len(modes))[0]


def select_unordered(top_indices: Tensor, is_masked: Tensor, num_keep: Tensor) -> Tensor:
    """Return the first `num_keep[b]` of each row of `top_indices` where masked, (B, L) bool: the published rule.

    `top_indices` (B, K) int64 comes from `torch.topk(..., sorted=False)` with K the largest of `num_keep` (B,), so its
    first k columns are not the k best: the set is wrong where k differs between rows, and too small where a row has
    fewer than K masked tokens (B, L).
    """
    is_first = torch.arange(top_indices.shape[1], device=top_indices.device) < num_keep[:, None]
    return torch.zeros_like(is_masked).scatter(1, top_indices, is_first) & is_masked


def score_in_logits_dtype(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the log-probability (B, L) of the labels in the dtype of the logits (B, L, V), 0 where a label is -100."""
    is_label = labels != -100
    log_prob = logits.log_softmax(-1).gather(-1, labels.where(is_label, 0)[..., None])[..., 0]
    return log_prob.where(is_label, 0)
