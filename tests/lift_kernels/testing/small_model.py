"""A small model of a type of its own, with a switch for each thing that a family may be registered wrongly for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

V, D = 20, 8
TYPE = "small_model"
RIGHT: dict[str, Any] = {
    "backbone": lambda model: model.body,
    "transform": lambda model: model.dense,
    "head": lambda model: model.lm_head,
}


class Body(nn.Module):
    """Hidden states (B, L, D): each token, and the mean of those that it may see."""

    def __init__(self, mask: str) -> None:
        super().__init__()
        self.embed, self.layer, self.mask = nn.Embedding(V, D), nn.Linear(D, D), mask

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> tuple[Tensor]:
        states = self.embed(input_ids)
        weight = torch.ones_like(states[..., 0])[:, None].expand(-1, states.shape[1], -1)  # (B, L, L)
        if self.mask != "ignored" and attention_mask is not None:
            if attention_mask.dim() != (2 if self.mask == "tokens" else 4):
                raise ValueError(f"attention_mask has {attention_mask.dim()} dimensions")
            if (attention_mask.dtype == torch.bool) != (self.mask == "bool_pairs"):
                raise ValueError(f"attention_mask is {attention_mask.dtype}")
            mask = attention_mask if self.mask == "tokens" else attention_mask[:, 0]
            weight = mask.exp() if self.mask == "added_pairs" else weight * mask.view(len(mask), -1, mask.shape[-1])
        elif self.mask == "added_pairs":
            raise ValueError("attention_mask is None")
        return (self.layer(torch.tanh(states + weight / weight.sum(-1, keepdim=True) @ states)),)


class SmallModel(nn.Module):
    """logits = softcap(scale * (lm_head(tanh(dense(states))) + outer_bias))."""

    def __init__(
        self, *, scale: float = 1.0, softcap: float | None = None, shifts: bool = False, tied: bool = False,
        outer_bias: bool = False, mask: str = "tokens",
    ) -> None:  # fmt: skip
        super().__init__()
        self.config = SimpleNamespace(model_type=TYPE)
        self.body, self.dense = Body(mask), nn.Sequential(nn.Linear(D, D), nn.Tanh())
        self.lm_head = nn.Linear(D, V)
        if tied:
            self.lm_head.weight = self.body.embed.weight
        self.outer_bias = nn.Parameter(torch.randn(V)) if outer_bias else None
        self.scale, self.softcap, self.shifts = scale, softcap, shifts

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None) -> Any:
        logits = self.lm_head(self.dense(self.body(input_ids, attention_mask)[0]))
        if self.outer_bias is not None:
            logits = logits + self.outer_bias
        logits = self.scale * logits
        if self.softcap is not None:
            logits = self.softcap * torch.tanh(logits / self.softcap)
        loss = None
        if labels is not None:
            own, about = (logits[:, :-1], labels[:, 1:]) if self.shifts else (logits, labels)
            loss = cross_entropy(own.flatten(0, 1), about.flatten())
        return SimpleNamespace(logits=logits, loss=loss)


class Silent(SmallModel):
    """Refuses labels, as LLaDA-MoE does."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Any:
        return super().forward(input_ids, attention_mask)


class Functional(SmallModel):
    """Multiplies with the embedding's weight itself, as LLaDA does where it is tied."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Any:
        logits = linear(self.dense(self.body(input_ids, attention_mask)[0]), self.body.embed.weight)
        return SimpleNamespace(logits=logits, loss=None)
