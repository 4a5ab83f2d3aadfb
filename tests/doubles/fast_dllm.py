"""Fast-dLLM's copy of LLaDA's code (NVlabs/Fast-dLLM, llada/model/modeling_llada.py), which takes and returns keys.

Published LLaDA refuses `use_cache`. In the copy a layer's pair holds keys before their rotation, (B, heads, L, D) each;
those of what is fed are put behind those given, or with `replace_position` written into them, in place.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.modeling_outputs import CausalLMOutputWithPast

from .layers import attend
from .llada import LLaDAModelLM

Pair = tuple[Tensor, Tensor]


class FastDLLMModelLM(LLaDAModelLM):
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: list[Pair] | None = None,
        use_cache: bool | None = None,
        replace_position: Tensor | None = None,
    ) -> CausalLMOutputWithPast:
        transformer = self.model.transformer
        x, pairs = transformer.emb_drop(transformer.wte(input_ids)), []
        for layer, block in enumerate(transformer.blocks):
            past = None if past_key_values is None else past_key_values[layer]
            x, pair = _block(block, x, past, replace_position)
            pairs.append(pair)
        logits = transformer.ff_out(transformer.ln_f(x))
        return CausalLMOutputWithPast(logits=logits, past_key_values=pairs if use_cache else None)


def _block(block: Any, x: Tensor, past: Pair | None, replace_position: Tensor | None) -> tuple[Tensor, Pair]:
    h = block.attn_norm(x)
    new = [_by_head(module(h), block.n_heads) for module in (block.k_proj, block.v_proj)]
    start = 0
    if past is not None and replace_position is None:
        start = past[0].shape[2]
        new = [torch.cat(both, 2) for both in zip(past, new, strict=True)]
    elif past is not None:
        start = int(replace_position[0].int().argmax())
        for row, columns in enumerate(replace_position):
            for kept, fresh in zip(past, new, strict=True):
                kept[row, :, columns] = fresh[row]
        new = list(past)
    key, value = (part.transpose(1, 2).flatten(2) for part in new)
    x = x + block.attn_out(attend(block.q_proj(h), key, value, block.n_heads, None, start=start))
    h = block.ff_norm(x)
    return x + block.ff_out(F.silu(block.ff_proj(h)) * block.up_proj(h)), (new[0], new[1])


def _by_head(x: Tensor, num_heads: int) -> Tensor:
    return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)
