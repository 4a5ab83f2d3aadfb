"""What a model's own logits say: gradients, statistics, and which token they are about."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


def gradients_of(model: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    """Return the gradient of every parameter that gets one, by name."""
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    gradients: Sequence[Tensor | None] = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    return {name: g for name, g in zip(parameters, gradients, strict=True) if g is not None}


def token_stats(logits: Tensor, labels: Tensor, argmax: Tensor) -> dict[str, Tensor]:
    """Return what `TokenStats` holds but argmax, from logits (B, L, V), in float64; 0 where labels (B, L) are -100.

    max_log_prob is that of the token `argmax` (B, L), so that near ties of two tokens do not count as an error: if it
    is not the most likely one, the value differs from the largest log-probability by that much.
    """
    log_probs, is_labelled = logits.detach().double().log_softmax(-1), labels != -100
    stats = {
        "log_prob": log_probs.gather(-1, labels.clamp(min=0)[..., None])[..., 0],
        "lse": logits.detach().double().logsumexp(-1),
        "entropy": -torch.xlogy(log_probs.exp(), log_probs.exp()).sum(-1),
        "max_log_prob": log_probs.gather(-1, argmax.clamp(min=0)[..., None])[..., 0],
    }
    return {name: values.where(is_labelled, 0) for name, values in stats.items()}


def relative_error(ours: Tensor, truth: Tensor, floor: Tensor | None = None) -> float:
    """Return the largest error, relative to the largest entry of the truth or to `floor`, if that is larger.

    A floor is for gradients that are nothing but rounding, such as those of the key biases of attention.
    """
    size = truth.detach().double().abs().max()
    size = size if floor is None else size.maximum(floor.double().to(size.device))
    error = (ours.detach().double() - truth.detach().double()).abs().max()
    return (error / size.clamp(min=1e-300)).item()


def own_loss(model: nn.Module, inputs: Mapping[str, Any], logits: Tensor, labels: Tensor) -> bool | None:
    """Return whether the loss that the model itself returns compares logits (B, L, V) with the next token's label.

    None where it returns no loss, or one that is neither the mean cross-entropy of each token's own logits nor of the
    ones before it.
    """
    labels = torch.cat([torch.full_like(labels[:, :1], -100), labels[:, 1:]], dim=1)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loss = getattr(model(**inputs, labels=labels), "loss", None)
    except Exception:  # a model may refuse labels in any way: it then says nothing of them
        return None
    if loss is None:
        return None
    flat = labels[:, 1:].flatten()
    same = cross_entropy(logits[:, 1:].flatten(0, 1).double(), flat)
    moved = cross_entropy(logits[:, :-1].flatten(0, 1).double(), flat)
    is_same, is_moved = (relative_error(loss, value) < 1e-3 for value in (same, moved))
    return is_moved if is_same != is_moved else None
