"""Hold what a patched model returns. It loads transformers, so it is imported only when a patched model is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers.utils import ModelOutput

from lift_kernels.models.uncast import Uncast
from lift_kernels.ops.linear_token_stats import TokenStats


@dataclass
class FusedLossOutput(ModelOutput):
    """The loss, never logits, and on request what is known of the tokens that have a label, each (B, L)."""

    loss: Tensor | None = None
    logits: None = None
    tokens: Uncast | None = None  # (token_stats, learnability)

    def to_tuple(self) -> tuple[Any, ...]:
        """Return loss, statistics and learnability, those of them that there are."""
        return tuple(value for value in (self.loss, self.token_stats, self.learnability) if value is not None)

    @property
    def token_stats(self) -> TokenStats | None:
        """Statistics of the labelled tokens, each (B, L); with the runner-up where that was asked for."""
        return None if self.tokens is None else self.tokens.value[0]

    @property
    def learnability(self) -> Tensor | None:
        """Of the one-forward objective: what is trained, (B, L) bool, or how much, float."""
        return None if self.tokens is None else self.tokens.value[1]
