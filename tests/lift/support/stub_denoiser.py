"""A denoiser without weights: its logits are an exact integer function of token ids, positions and attention.

All integers are 32-bit unsigned. With key_j the hash of the token at key position j and ctx_i the sum of the keys that
query i attends to,

    key_j = mix(mix(seed + 0x9E3779B9 (pos_j + 1)) ^ mix(id_j + 0x85EBCA6B))
    q_i   = mix(ctx_i ^ mix(pos_i + 0xC2B2AE35))
    u_iv  = mix(q_i ^ mix(v + 0x27D4EB2F)) >> 12
    z_iv  = (u_iv^3 >> 40) / 65536 + bias_v

A second layer has keys of its own, mix(key_i ^ mix(ctx_i + 0x165667B1)), so that a cache of them grows stale.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from lift_kernels import register_model_family

_WORD = 0xFFFFFFFF
NUM_POSITIONS = 1 << 12


def mix(x: Tensor | int) -> Tensor:
    x = torch.as_tensor(x) & _WORD
    x = x ^ (x >> 16)
    x = (x * 0x7FEB352D) & _WORD
    x = x ^ (x >> 15)
    x = (x * 0x846CA68B) & _WORD
    return x ^ (x >> 16)


def attended_keys(attention_mask: Tensor | None) -> Tensor | None:
    """(B, queries or 1, keys) bool, of a mask in any of the forms that models take."""
    if attention_mask is None:
        return None
    if attention_mask.dim() == 2:
        return attention_mask.bool()[:, None]
    pairs = attention_mask[:, 0]
    return pairs if pairs.dtype == torch.bool else pairs == 0


class StubDenoiser(nn.Module):
    """Columns are its positions.

    Args:
        spec: seed, vocab_size, mask_token_id, and optionally bias of tokens, active_ids (the others have the logit
            `background`), dtype and layers, 1 or 2.
        model_type: of a family whose head is `lm_head`, or of none.
    """

    def __init__(self, spec: dict[str, Any], model_type: str = "unknown stub") -> None:
        super().__init__()
        self.spec, self.num_calls = spec, 0
        size = spec["vocab_size"]
        self.config = SimpleNamespace(model_type=model_type, vocab_size=size, mask_token_id=spec["mask_token_id"])
        self.tokens = torch.arange(size) if spec.get("active_ids") is None else torch.tensor(spec["active_ids"])
        dtype = getattr(torch, spec.get("dtype", "float32"))
        # One state an active token: the identity, and what the others always have as bias.
        self.lm_head = nn.Linear(len(self.tokens), size, dtype=dtype)
        with torch.no_grad():
            self.lm_head.weight.zero_()
            self.lm_head.weight[self.tokens, torch.arange(len(self.tokens))] = 1
            self.lm_head.bias.fill_(spec.get("background", -64))
            self.lm_head.bias[self.tokens] = 0

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, past_key_values: Any = None,
        use_cache: bool = False,
    ) -> SimpleNamespace:  # fmt: skip
        return self._logits(input_ids, attention_mask, None, past_key_values)

    def _logits(
        self, ids: Tensor, attention_mask: Tensor | None, position: Tensor | None, cache: Any
    ) -> SimpleNamespace:
        self.num_calls += 1
        if position is None:
            position = torch.arange(ids.shape[1]) + (0 if cache is None else cache.get_seq_length())
        position = position.expand(ids.shape)
        seen = attended_keys(attention_mask)
        key = mix(mix(self.spec["seed"] + 0x9E3779B9 * (position + 1)) ^ mix(ids + 0x85EBCA6B))
        context = self._context(key, 0, seen, cache)
        if self.spec.get("layers", 1) == 2:
            context = self._context(mix(key ^ mix(context + 0x165667B1)), 1, seen, cache)
        query = mix(context ^ mix(position + 0xC2B2AE35))
        u = mix(query[..., None] ^ mix(self.tokens + 0x27D4EB2F)) >> 12
        states = ((u * u * u) >> 40).to(torch.float64) / 65536
        for token, bias in self.spec.get("bias", {}).items():
            states[..., self.tokens == int(token)] += bias
        return SimpleNamespace(logits=self.lm_head(states.to(self.lm_head.weight.dtype)))

    def _context(self, key: Tensor, layer: int, seen: Tensor | None, cache: Any) -> Tensor:
        if cache is not None:
            key = cache.update(key[:, None, :, None], key[:, None, :, None], layer)[0][:, 0, :, 0]
        kept = key[:, None] if seen is None else key[:, None] * seen.long()
        return kept.sum(-1) & _WORD


class PositionedStub(StubDenoiser):
    """Its positions are an argument, absolute ones of a table."""

    def __init__(self, spec: dict[str, Any], model_type: str = "unknown stub") -> None:
        super().__init__(spec, model_type)
        self.word_embeddings, self.position_embeddings = nn.Embedding(1, 1), nn.Embedding(NUM_POSITIONS, 1)

    def get_input_embeddings(self) -> nn.Module:
        return self.word_embeddings

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, position_ids: Tensor | None = None,
        past_key_values: Any = None, use_cache: bool = False,
    ) -> SimpleNamespace:  # fmt: skip
        return self._logits(input_ids, attention_mask, position_ids, past_key_values)


STUB_FAMILY, SHIFTED_STUB_FAMILY = "stub", "shifted stub"
for _name in (STUB_FAMILY, SHIFTED_STUB_FAMILY):
    register_model_family(
        _name, backbone=lambda model: model, head=lambda model: model.lm_head, attention_mask="bool_pairs",
        predicts_next=_name == SHIFTED_STUB_FAMILY,
    )  # fmt: skip
