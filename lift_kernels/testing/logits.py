"""The loss by way of the logits: what a patched model's loss is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad


def aligned_logits(model: nn.Module, inputs: Mapping[str, Any], *, predicts_next: bool = False) -> Tensor:
    """Return the logits (B, L, V) of model(**inputs), each at the token that it predicts.

    Args:
        model: called without labels; its output has `.logits` (B, L, V).
        inputs: its keyword arguments.
        predicts_next: the logits at position i are about token i + 1, as in Dream. They are moved by one position, and
            those of the first token, which nothing predicts, are 0.
    """
    logits: Tensor = model(**inputs).logits
    return pad(logits[:, :-1], (0, 0, 1, 0)) if predicts_next else logits


def logits_loss(logits: Tensor, labels: Tensor, token_weight: Tensor, denominator: float) -> Tensor:
    """Return sum_i token_weight_i * CE(logits_i, labels_i) / denominator, 0-d in nats, by torch's cross-entropy.

    Args:
        logits: (B, L, V) floating.
        labels: (B, L) int64, -100 where ignored.
        token_weight: (B, L) floating.
        denominator: a positive number.
    """
    nll = cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    return (nll * token_weight.flatten()).sum() / denominator
