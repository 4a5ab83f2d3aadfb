"""An attention mask in the form that a model takes."""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels.models.families import ModelFamily


def as_taken(family: ModelFamily | None, mask: Tensor | None, input_ids: Tensor) -> Tensor | None:
    """The mask of `input_ids` (B, L) for a model of `family`; a model of no known family takes it as it is.

    Args:
        mask: (B, L) or (B, 1, L, L), 1 or True where attention is allowed; None where it is everywhere.

    Source: what the models' own code takes; Dream's hands it to SDPA, which refuses integers
        (github.com/DreamLM/Dream, issue 27), LLaDA's ignores it (github.com/ML-GSAI/LLaDA, issue 89).
    """
    if family is None or family.attention_mask in ("tokens", "ignored"):
        return mask
    batch, length = input_ids.shape
    if mask is None:
        if family.attention_mask == "bool_pairs":
            return None
        mask = torch.ones(batch, length, dtype=torch.int64, device=input_ids.device)
    if mask.dim() == 2:
        mask = mask[:, None, None, :].expand(batch, 1, length, length)
    return mask.bool() if family.attention_mask == "bool_pairs" else mask.long()
