"""What a patched model returns. Imports transformers, so it is imported only when a model is patched."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from transformers.utils import ModelOutput

from lift_kernels.ops.linear_token_stats import TokenStats


@dataclass
class FusedLossOutput(ModelOutput):
    """The loss, never logits, and on request what is known of the tokens that have a label, each (B, L)."""

    loss: Tensor | None = None
    logits: None = None
    token_stats: TokenStats | None = None
    learnability: Tensor | None = None
