"""LLaDA (GSAI-ML/LLaDA-8B-Base): the head sits inside `model`, whose forward returns logits."""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from .layers import attend


class LLaDAConfig(PretrainedConfig):
    """The fields that the double reads, under their published names; the defaults are tiny."""

    model_type = "llada"
    keys_to_ignore_at_inference = ["past_key_values"]  # noqa: RUF012

    def __init__(
        self,
        d_model: int = 16,
        n_heads: int = 2,
        n_layers: int = 2,
        mlp_hidden_size: int = 24,
        vocab_size: int = 64,
        embedding_size: int | None = None,
        weight_tying: bool = False,
        scale_logits: bool = False,
        include_bias: bool = False,
        rope: bool = True,
        alibi: bool = False,
        block_group_size: int = 1,
        mask_token_id: int | None = None,
        use_cache: bool = False,
        **kwargs,
    ) -> None:
        self.d_model, self.n_heads, self.n_layers = d_model, n_heads, n_layers
        self.mlp_hidden_size = mlp_hidden_size
        self.vocab_size, self.embedding_size = vocab_size, embedding_size
        self.weight_tying, self.scale_logits, self.include_bias = weight_tying, scale_logits, include_bias
        self.rope, self.alibi, self.block_group_size = rope, alibi, block_group_size
        super().__init__(**kwargs)
        self.mask_token_id, self.use_cache = mask_token_id, use_cache

    @property
    def num_attention_heads(self) -> int:
        return self.n_heads

    @property
    def num_hidden_layers(self) -> int:
        return self.n_layers

    @property
    def hidden_size(self) -> int:
        return self.d_model


class LLaDALlamaBlock(nn.Module):
    def __init__(self, config: LLaDAConfig) -> None:
        super().__init__()
        width, bias = config.d_model, config.include_bias
        self.n_heads = config.n_heads
        self.attn_norm, self.ff_norm = nn.RMSNorm(width), nn.RMSNorm(width)
        self.q_proj = nn.Linear(width, width, bias=bias)
        self.k_proj = nn.Linear(width, width, bias=bias)
        self.v_proj = nn.Linear(width, width, bias=bias)
        self.attn_out = nn.Linear(width, width, bias=bias)
        self.ff_proj = nn.Linear(width, config.mlp_hidden_size, bias=bias)
        self.up_proj = nn.Linear(width, config.mlp_hidden_size, bias=bias)
        self.ff_out = nn.Linear(config.mlp_hidden_size, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        h = self.attn_norm(x)
        x = x + self.attn_out(attend(self.q_proj(h), self.k_proj(h), self.v_proj(h), self.n_heads, None))
        h = self.ff_norm(x)
        return x + self.ff_out(F.silu(self.ff_proj(h)) * self.up_proj(h))


class LLaDAOutput(NamedTuple):
    logits: Tensor
    attn_key_values: None
    hidden_states: tuple[Tensor, ...] | None


class LLaDAModel(nn.Module):
    def __init__(self, config: LLaDAConfig) -> None:
        super().__init__()
        self.config = config
        num_rows = config.embedding_size or config.vocab_size
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(num_rows, config.d_model),
                "emb_drop": nn.Dropout(0.0),
                "ln_f": nn.RMSNorm(config.d_model),
                "blocks": nn.ModuleList(LLaDALlamaBlock(config) for _ in range(config.n_layers)),
            }
        )
        if not config.weight_tying:
            self.transformer["ff_out"] = nn.Linear(config.d_model, num_rows, bias=config.include_bias)

    def forward(
        self,
        input_ids: Tensor,
        input_embeddings: Tensor | None = None,
        attention_mask: Tensor | None = None,
        attention_bias: Tensor | None = None,
        past_key_values: None = None,
        use_cache: bool = False,
        last_logits_only: bool = False,
        output_hidden_states: bool | None = None,
    ) -> LLaDAOutput:
        assert self.config.rope and not self.config.alibi and not use_cache and past_key_values is None
        x = self.transformer.wte(input_ids) if input_embeddings is None else input_embeddings
        x = self.transformer.emb_drop(x)
        all_hidden_states = []
        for block in self.transformer.blocks:
            all_hidden_states.append(x)
            x = block(x)
        if last_logits_only:
            x = x[:, -1:]
        x = self.transformer.ln_f(x)
        all_hidden_states.append(x)
        if self.config.weight_tying:
            logits = F.linear(x, self.transformer.wte.weight, None)
        else:
            logits = self.transformer.ff_out(x)
        if self.config.scale_logits:
            logits.mul_(1 / math.sqrt(self.config.d_model))
        return LLaDAOutput(logits, None, tuple(all_hidden_states) if output_hidden_states else None)


class LLaDAModelLM(PreTrainedModel):
    """As published: masks are ignored, labels only warn, no gradient checkpointing, no `**kwargs`.

    Unlike the published class it calls `post_init`, without which transformers 5 cannot load it, and its
    `tie_weights` does nothing: there it puts a tied embedding under the head's name too, and such a model cannot be saved.
    """

    config_class = LLaDAConfig
    base_model_prefix = "model"
    _no_split_modules = ["LLaDABlock", "LLaDASequentialBlock", "LLaDALlamaBlock"]  # noqa: RUF012

    def __init__(self, config: LLaDAConfig, model: LLaDAModel | None = None, init_params: bool = False) -> None:
        super().__init__(config)
        self.model = model or LLaDAModel(config)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Nothing: the modules initialise themselves."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        attention_mask: Tensor | None = None,
        attention_bias: Tensor | None = None,
        past_key_values: None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        cache_position: None = None,
    ) -> CausalLMOutputWithPast:
        if output_attentions:
            raise ValueError("output_attentions is not yet supported in LLaDA")
        outputs = self.model.forward(
            input_ids=input_ids,
            input_embeddings=inputs_embeds,
            attention_mask=attention_mask,
            attention_bias=attention_bias,
            past_key_values=past_key_values,
            use_cache=self.config.use_cache if use_cache is None else use_cache,
            output_hidden_states=output_hidden_states,
        )
        if labels is not None:
            warnings.warn("Note that for LLaDA, you cannot calculate the loss here.", UserWarning, stacklevel=2)
        return CausalLMOutputWithPast(logits=outputs.logits, hidden_states=outputs.hidden_states)

    def get_input_embeddings(self) -> nn.Module:
        return self.model.transformer.wte

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.model.transformer.wte = value

    def get_output_embeddings(self) -> nn.Module:
        return self.model.transformer.wte if self.config.weight_tying else self.model.transformer.ff_out

    def set_output_embeddings(self, value: nn.Module) -> None:
        setattr(self.model.transformer, "wte" if self.config.weight_tying else "ff_out", value)

    def tie_weights(self, *args, **kwargs) -> None:
        """Nothing: transformers 4 would else tie every head whose config lacks tie_word_embeddings."""
