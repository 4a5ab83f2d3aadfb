"""Bidirectional transformer parts that the doubles share."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def attend(
    query: Tensor, key: Tensor, value: Tensor, num_heads: int, mask: Tensor | None, position_ids: Tensor | None = None,
    *, start: int = 0,
) -> Tensor:  # fmt: skip
    """Attention (B, L, D) over all positions, rotary; `mask` goes to torch as it is, so torch judges its dtype.

    Queries and keys stand at `position_ids` (B, L); by default queries at positions from `start`, keys from 0.
    """
    query, key, value = (x.unflatten(-1, (num_heads, -1)).transpose(1, 2) for x in (query, key, value))
    query, key = _rotate(query, position_ids, start), _rotate(key, position_ids)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).flatten(2)


def _rotate(x: Tensor, position_ids: Tensor | None, start: int = 0) -> Tensor:
    half = x.shape[-1] // 2
    frequency = 100.0 ** -(torch.arange(half, device=x.device) / half)
    columns = start + torch.arange(x.shape[-2], device=x.device)
    position = columns if position_ids is None else position_ids[:, None]
    angle = position[..., None] * frequency
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


class Attention(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, *, bias: bool = False) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(hidden_size, hidden_size, bias=bias)
        self.k_proj = nn.Linear(hidden_size, hidden_size, bias=bias)
        self.v_proj = nn.Linear(hidden_size, hidden_size, bias=bias)
        self.o_proj = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None, position_ids: Tensor | None = None) -> Tensor:
        return self.o_proj(attend(self.q_proj(x), self.k_proj(x), self.v_proj(x), self.num_heads, mask, position_ids))


class MLP(nn.Module):
    def __init__(self, hidden_size: int, intermediate_size: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(hidden_size, intermediate_size, bias=False)
        self.up_proj = nn.Linear(hidden_size, intermediate_size, bias=False)
        self.down_proj = nn.Linear(intermediate_size, hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class MixtureOfExperts(nn.Module):
    """Each token goes to its best expert, weighted by the router; returns the output and the router's logits (B * L, E)."""

    def __init__(self, gate: nn.Module, experts: list[MLP], score: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.gate = gate
        self.experts = nn.ModuleList(experts)
        self.score = score

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        router_logits = self.gate(x)
        weight, chosen = self.score(router_logits).max(-1)
        output = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            output = output + expert(x) * (weight * (chosen == i))[..., None]
        return output, router_logits.flatten(0, 1)


def initialise(module: nn.Module, std: float) -> None:
    """The usual N(0, std) of linear layers and embeddings."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=std)
        if getattr(module, "bias", None) is not None:
            nn.init.zeros_(module.bias)


class LMHead:
    """What transformers asks of a model with `model` and `lm_head`."""

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.lm_head = new_embeddings

    def get_input_embeddings(self) -> nn.Module:
        return self.model.embed_tokens

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.model.embed_tokens = value

    def get_decoder(self) -> nn.Module:
        return self.model
