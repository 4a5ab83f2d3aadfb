"""LLaDA2 (inclusionAI/LLaDA2.0-mini): a block-diffusion model that insists on a 4-D attention mask."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PretrainedConfig
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import MoeCausalLMOutputWithPast, MoeModelOutputWithPast

from .layers import MLP, LMHead, MixtureOfExperts, attend
from .moe import MoEDecoder, MoEPreTrainedModel


class LLaDA2MoeConfig(PretrainedConfig):
    model_type = "llada2_moe"

    def __init__(
        self,
        vocab_size: int = 64,
        hidden_size: int = 16,
        intermediate_size: int = 24,
        moe_intermediate_size: int = 12,
        num_hidden_layers: int = 2,
        num_attention_heads: int = 2,
        num_experts: int = 2,
        num_experts_per_tok: int = 1,
        first_k_dense_replace: int = 1,
        initializer_range: float = 0.2,
        rms_norm_eps: float = 1e-5,
        use_cache: bool = False,
        pad_token_id: int = 1,
        tie_word_embeddings: bool = False,
        output_router_logits: bool = False,
        **kwargs,
    ) -> None:
        self.vocab_size, self.hidden_size = vocab_size, hidden_size
        self.intermediate_size, self.moe_intermediate_size = intermediate_size, moe_intermediate_size
        self.num_hidden_layers, self.num_attention_heads = num_hidden_layers, num_attention_heads
        self.num_experts, self.num_experts_per_tok = num_experts, num_experts_per_tok
        self.first_k_dense_replace = first_k_dense_replace
        self.initializer_range, self.rms_norm_eps = initializer_range, rms_norm_eps
        self.output_router_logits = output_router_logits
        super().__init__(pad_token_id=pad_token_id, tie_word_embeddings=tie_word_embeddings, **kwargs)
        self.use_cache = use_cache


class LLaDA2MoeAttention(nn.Module):
    def __init__(self, config: LLaDA2MoeConfig) -> None:
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.query_key_value = nn.Linear(config.hidden_size, 3 * config.hidden_size, bias=False)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None, position_ids: Tensor | None) -> Tensor:
        return self.dense(attend(*self.query_key_value(x).chunk(3, -1), self.num_heads, mask, position_ids))


class LLaDA2MoeGate(nn.Module):
    def __init__(self, config: LLaDA2MoeConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(config.num_experts, config.hidden_size))
        self.register_buffer("expert_bias", torch.zeros(config.num_experts))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.float(), self.weight.float()).to(x.dtype)


class LLaDA2MoeDecoderLayer(nn.Module):
    def __init__(self, config: LLaDA2MoeConfig, layer_idx: int) -> None:
        super().__init__()
        width = config.hidden_size
        self.input_layernorm = nn.RMSNorm(width, eps=config.rms_norm_eps)
        self.post_attention_layernorm = nn.RMSNorm(width, eps=config.rms_norm_eps)
        self.attention = LLaDA2MoeAttention(config)
        if layer_idx >= config.first_k_dense_replace:
            experts = [MLP(width, config.moe_intermediate_size) for _ in range(config.num_experts)]
            self.mlp = MixtureOfExperts(LLaDA2MoeGate(config), experts, score=torch.sigmoid)
        else:
            self.mlp = MLP(width, config.intermediate_size)

    def forward(self, x: Tensor, mask: Tensor | None, position_ids: Tensor | None) -> tuple[Tensor, Tensor | None]:
        x = x + self.attention(self.input_layernorm(x), mask, position_ids)
        output = self.mlp(self.post_attention_layernorm(x))
        output, router_logits = output if isinstance(output, tuple) else (output, None)
        return x + output, router_logits


class LLaDA2MoeModel(MoEDecoder):
    config_class = LLaDA2MoeConfig

    def __init__(self, config: LLaDA2MoeConfig) -> None:
        super().__init__(config)
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.layers = nn.ModuleList(LLaDA2MoeDecoderLayer(config, i) for i in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.word_embeddings = value

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        output_router_logits: bool | None = None,
        return_dict: bool | None = None,
        **kwargs,
    ) -> MoeModelOutputWithPast:
        x = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        batch_size, length = x.shape[:2]
        if attention_mask.size() != (batch_size, 1, length, length):
            raise ValueError(
                f"LLaDA2.0 only support block attention mask with shape: {(batch_size, 1, length, length)}, "
                f"the input attention with shape {attention_mask.size()}!"
            )
        if output_router_logits is None:
            output_router_logits = self.config.output_router_logits
        return self.run_layers(x, attention_mask, output_hidden_states, output_router_logits, position_ids)


class LLaDA2MoeModelLM(LMHead, MoEPreTrainedModel, GenerationMixin):
    """As published: the mask must be (B, 1, L, L), added to the scores or bool, and may not be None; logits are float32."""

    config_class = LLaDA2MoeConfig
    _no_split_modules = ["LLaDA2MoeDecoderLayer"]  # noqa: RUF012

    def __init__(self, config: LLaDA2MoeConfig) -> None:
        super().__init__(config)
        self.model = LLaDA2MoeModel(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.model.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.model.word_embeddings = value

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        output_router_logits: bool | None = None,
        return_dict: bool | None = None,
        **kwargs,
    ) -> MoeCausalLMOutputWithPast:
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            output_hidden_states=output_hidden_states,
            output_router_logits=output_router_logits,
            **kwargs,
        )
        logits = self.lm_head(outputs[0]).float()
        loss = None if labels is None else F.cross_entropy(logits.flatten(0, 1), labels.flatten())
        return MoeCausalLMOutputWithPast(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, router_logits=outputs.router_logits
        )
