"""A2D-Qwen3 (dllm-collection) and SDAR (JetAstra): Qwen3 that attends in both directions, in SDAR's case by blocks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutput

from .layers import MLP, Attention, LMHead, initialise


class A2DQwen3Config(PretrainedConfig):
    model_type = "a2d-qwen3"

    def __init__(
        self,
        vocab_size: int = 64,
        hidden_size: int = 16,
        intermediate_size: int = 24,
        num_hidden_layers: int = 2,
        num_attention_heads: int = 2,
        initializer_range: float = 0.2,
        rms_norm_eps: float = 1e-6,
        use_cache: bool = False,
        tie_word_embeddings: bool = False,
        **kwargs,
    ) -> None:
        self.vocab_size, self.hidden_size, self.intermediate_size = vocab_size, hidden_size, intermediate_size
        self.num_hidden_layers, self.num_attention_heads = num_hidden_layers, num_attention_heads
        self.initializer_range, self.rms_norm_eps = initializer_range, rms_norm_eps
        super().__init__(tie_word_embeddings=tie_word_embeddings, **kwargs)
        self.use_cache = use_cache


class SDARConfig(A2DQwen3Config):
    model_type = "sdar"

    def __init__(self, block_size: int = 4, **kwargs) -> None:
        self.block_size = block_size
        super().__init__(**kwargs)


class A2DQwen3DecoderLayer(nn.Module):
    def __init__(self, config: A2DQwen3Config) -> None:
        super().__init__()
        width = config.hidden_size
        self.input_layernorm = nn.RMSNorm(width, eps=config.rms_norm_eps)
        self.post_attention_layernorm = nn.RMSNorm(width, eps=config.rms_norm_eps)
        self.self_attn = Attention(width, config.num_attention_heads)
        self.mlp = MLP(width, config.intermediate_size)

    def forward(self, x: Tensor, mask: Tensor | None, position_ids: Tensor | None) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), mask, position_ids)
        return x + self.mlp(self.post_attention_layernorm(x))


class A2DQwen3PreTrainedModel(PreTrainedModel):
    config_class = A2DQwen3Config
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _no_split_modules = ["A2DQwen3DecoderLayer"]  # noqa: RUF012
    _supports_sdpa = True

    def _init_weights(self, module: nn.Module) -> None:
        initialise(module, self.config.initializer_range)


class A2DQwen3Model(A2DQwen3PreTrainedModel):
    def __init__(self, config: A2DQwen3Config) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(A2DQwen3DecoderLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.gradient_checkpointing = False
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_hidden_states: bool | None = None,
        **kwargs,
    ) -> BaseModelOutput:
        """As published: a mask (B, L) hides padding, one of 4 dimensions goes to the attention as it is."""
        x = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        mask = attention_mask
        if mask is not None and mask.dim() == 2:
            mask = mask.bool()[:, None, None, :].expand(-1, 1, x.shape[1], -1)
        for layer in self.layers:
            if self.gradient_checkpointing and self.training:
                x = self._gradient_checkpointing_func(layer.__call__, x, mask, position_ids)
            else:
                x = layer(x, mask, position_ids)
        return BaseModelOutput(last_hidden_state=self.norm(x))


class A2DQwen3LMHeadModel(LMHead, A2DQwen3PreTrainedModel):
    def __init__(self, config: A2DQwen3Config) -> None:
        super().__init__(config)
        self.model = A2DQwen3Model(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **kwargs,
    ) -> CausalLMOutput:
        outputs = self.model(
            input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, inputs_embeds=inputs_embeds
        )
        logits = self.lm_head(outputs[0])
        loss = None if labels is None else torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        return CausalLMOutput(loss=loss, logits=logits)


class SDARForCausalLM(A2DQwen3LMHeadModel):
    """Differs from the published class, which trains with flex attention alone, on CUDA: it takes a dense mask here."""

    config_class = SDARConfig
