"""A step of the published samplers, from logits."""

from __future__ import annotations

import torch
from torch import Tensor


def from_logits(logits: Tensor, *, temperature: float, top_p: float | None = None) -> tuple[Tensor, Tensor]:
    """Return tokens and log-probabilities (...) of logits (..., V), as LLaDA's `generate` draws and Dream's filters.

    The noise is in float64, as LLaDA's `add_gumbel_noise` has it.
    """
    scaled = logits
    if top_p is not None:
        ordered, index = (logits / temperature).sort(descending=True)
        is_removed = ordered.softmax(-1).cumsum(-1).roll(1, -1) > top_p
        is_removed[..., 0] = False
        scaled = logits.masked_fill(torch.zeros_like(is_removed).scatter(-1, index, is_removed), -torch.inf)
    if temperature > 0:
        noise = (-torch.rand_like(scaled, dtype=torch.float64).log()) ** temperature
        token = (scaled.double().exp() / noise).argmax(-1)
    else:
        token = scaled.argmax(-1)
    return token, logits.softmax(-1).gather(-1, token[..., None])[..., 0].log()
