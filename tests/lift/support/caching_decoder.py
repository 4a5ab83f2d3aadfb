"""A small model of transformers that takes pairs, and keys and values."""

from __future__ import annotations

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM


def caching_decoder(dtype: torch.dtype = torch.float64) -> Qwen2ForCausalLM:
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=64, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, initializer_range=0.6, max_position_embeddings=64, tie_word_embeddings=False,
    )  # fmt: skip
    return Qwen2ForCausalLM(config).to(dtype).eval()
