"""LLaDA-MoE (inclusionAI/LLaDA-MoE-7B-A1B-Base).

On the Hub its config class is called LLaDAConfig and its `model_type` is "llada", the same as the dense model's, in
configuration_lladamoe.py; copies in other repositories say "lladamoe" or "llada_moe".
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PretrainedConfig
from transformers.modeling_outputs import MoeCausalLMOutputWithPast, MoeModelOutputWithPast

from .layers import MLP, Attention, LMHead, MixtureOfExperts
from .moe import MoEDecoder, MoEPreTrainedModel


class LLaDAConfig(PretrainedConfig):
    model_type = "llada"
    keys_to_ignore_at_inference = ["past_key_values"]  # noqa: RUF012

    def __init__(
        self,
        vocab_size: int = 64,
        hidden_size: int = 16,
        dense_intermediate_size: int = 24,
        expert_intermediate_size: int = 12,
        num_hidden_layers: int = 2,
        num_attention_heads: int = 2,
        num_experts: int = 2,
        num_experts_per_tok: int = 1,
        moe_layer_freq: tuple[int, ...] = (0, 1),
        initializer_range: float = 0.2,
        rms_norm_eps: float = 1e-5,
        use_cache: bool = False,
        pad_token_id: int = 1,
        tie_word_embeddings: bool = False,
        output_router_logits: bool = False,
        router_aux_loss_coef: float = 0.01,
        **kwargs,
    ) -> None:
        self.vocab_size, self.hidden_size = vocab_size, hidden_size
        self.dense_intermediate_size = dense_intermediate_size
        self.expert_intermediate_size = expert_intermediate_size
        self.num_hidden_layers, self.num_attention_heads = num_hidden_layers, num_attention_heads
        self.num_experts, self.num_experts_per_tok = num_experts, num_experts_per_tok
        self.moe_layer_freq = list(moe_layer_freq)
        self.initializer_range, self.rms_norm_eps = initializer_range, rms_norm_eps
        self.output_router_logits, self.router_aux_loss_coef = output_router_logits, router_aux_loss_coef
        super().__init__(pad_token_id=pad_token_id, tie_word_embeddings=tie_word_embeddings, **kwargs)
        self.use_cache = use_cache


class LLaDAMoEDecoderLayer(nn.Module):
    def __init__(self, config: LLaDAConfig, layer_idx: int) -> None:
        super().__init__()
        width = config.hidden_size
        self.input_layernorm = nn.RMSNorm(width, eps=config.rms_norm_eps)
        self.post_attention_layernorm = nn.RMSNorm(width, eps=config.rms_norm_eps)
        self.self_attn = Attention(width, config.num_attention_heads)
        if config.moe_layer_freq[layer_idx]:
            experts = [MLP(width, config.expert_intermediate_size) for _ in range(config.num_experts)]
            gate = nn.Linear(width, config.num_experts, bias=False)
            self.mlp = MixtureOfExperts(gate, experts, score=partial(torch.softmax, dim=-1))
        else:
            self.mlp = MLP(width, config.dense_intermediate_size)

    def forward(self, x: Tensor, mask: Tensor | None, position_ids: None) -> tuple[Tensor, Tensor | None]:
        x = x + self.self_attn(self.input_layernorm(x), mask, position_ids)
        output = self.mlp(self.post_attention_layernorm(x))
        output, router_logits = output if isinstance(output, tuple) else (output, None)
        return x + output, router_logits


class LLaDAMoEModel(MoEDecoder):
    config_class = LLaDAConfig

    def __init__(self, config: LLaDAConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.layers = nn.ModuleList(LLaDAMoEDecoderLayer(config, i) for i in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.gradient_checkpointing = False
        self.post_init()

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
        cache_position: None = None,
    ) -> MoeModelOutputWithPast:
        x = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        if output_router_logits is None:
            output_router_logits = self.config.output_router_logits
        return self.run_layers(x, None, output_hidden_states, output_router_logits)


class LLaDAMoEModelLM(LMHead, MoEPreTrainedModel):
    """As published: a 2-D attention mask has no effect, labels are refused, logits are float32."""

    config_class = LLaDAConfig
    _no_split_modules = ["LLaDAMoEDecoderLayer"]  # noqa: RUF012

    def __init__(self, config: LLaDAConfig) -> None:
        super().__init__(config)
        self.model = LLaDAMoEModel(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.router_aux_loss_coef = config.router_aux_loss_coef
        self.num_experts, self.num_experts_per_tok = config.num_experts, config.num_experts_per_tok
        self.post_init()

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
        cache_position: None = None,
        num_logits_to_keep: int = 0,
    ) -> MoeCausalLMOutputWithPast:
        assert labels is None, "the loss is not computed here"
        if output_router_logits is None:
            output_router_logits = self.config.output_router_logits
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            output_hidden_states=output_hidden_states,
            output_router_logits=output_router_logits,
        )
        logits = self.lm_head(outputs[0][:, -num_logits_to_keep:, :]).float()
        aux_loss = _load_balance(outputs.router_logits) if output_router_logits else None
        return MoeCausalLMOutputWithPast(
            aux_loss=aux_loss, logits=logits, hidden_states=outputs.hidden_states, router_logits=outputs.router_logits
        )


def _load_balance(router_logits: tuple[Tensor, ...]) -> Tensor:
    """Switch Transformer's loss: num_experts x sum over experts of (share of tokens x mean probability)."""
    probability = torch.cat(router_logits).softmax(-1)
    num_experts = probability.shape[-1]
    share = F.one_hot(probability.argmax(-1), num_experts).to(probability.dtype).mean(0)
    return num_experts * (share * probability.mean(0)).sum()
