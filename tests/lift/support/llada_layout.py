"""A small model with the layout of the Hub's LLaDA: where its blocks and its head lie, and what it does not offer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import MaskedLMOutput

from lift_kernels import register_model_family


class LladaLayoutConfig(PretrainedConfig):
    model_type = "llada_layout"

    def __init__(
        self, vocab_size: int = 8, d_model: int = 16, n_layers: int = 3, dropout: float = 0.0, **kwargs
    ) -> None:
        super().__init__(**{"tie_word_embeddings": False} | kwargs)
        self.vocab_size, self.d_model, self.n_layers, self.dropout = vocab_size, d_model, n_layers, dropout


class Block(nn.Module):
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.attn_norm, self.ff_norm = nn.RMSNorm(width), nn.RMSNorm(width)
        self.q_proj, self.k_proj, self.v_proj, self.attn_out = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.ff_proj, self.up_proj = (nn.Linear(width, 2 * width, bias=False) for _ in range(2))
        self.ff_out = nn.Linear(2 * width, width, bias=False)  # the head has this name too
        self.dropout = nn.Dropout(dropout)
        self.num_calls = 0

    def forward(self, x: Tensor, attention_bias: Tensor | None = None) -> tuple[Tensor, None]:
        self.num_calls += 1
        h = self.attn_norm(x)
        h = F.scaled_dot_product_attention(self.q_proj(h), self.k_proj(h), self.v_proj(h), attn_mask=attention_bias)
        x = x + self.dropout(self.attn_out(h))
        h = self.ff_norm(x)
        return x + self.dropout(self.ff_out(F.silu(self.ff_proj(h)) * self.up_proj(h))), None


class Trunk(nn.Module):
    def __init__(self, config: LladaLayoutConfig) -> None:
        super().__init__()
        self.transformer = nn.ModuleDict({
            "wte": nn.Embedding(config.vocab_size, config.d_model),
            "ln_f": nn.RMSNorm(config.d_model),
            "blocks": nn.ModuleList(Block(config.d_model, config.dropout) for _ in range(config.n_layers)),
            "ff_out": nn.Linear(config.d_model, config.vocab_size, bias=False),
        })  # fmt: skip

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> tuple[Tensor]:
        x = self.transformer["wte"](input_ids)
        for block in self.transformer["blocks"]:
            x, _ = block(x, attention_bias=None)
        return (self.transformer["ln_f"](x),)


class LladaLayoutModel(PreTrainedModel):
    config_class = LladaLayoutConfig
    supports_gradient_checkpointing = False

    def __init__(self, config: LladaLayoutConfig) -> None:
        super().__init__(config)
        self.model = Trunk(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.model.transformer["wte"]

    def get_output_embeddings(self) -> nn.Module:
        return self.model.transformer["ff_out"]

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> MaskedLMOutput:
        return MaskedLMOutput(logits=self.model.transformer["ff_out"](self.model(input_ids)[0]))

    @property
    def blocks(self) -> nn.ModuleList:
        return self.model.transformer["blocks"]


register_model_family("llada_layout", backbone=lambda m: m.model, head=lambda m: m.model.transformer["ff_out"])


def llada_layout(seed: int = 0, **options) -> LladaLayoutModel:
    torch.manual_seed(seed)
    return LladaLayoutModel(LladaLayoutConfig(**options))
