"""Dream (Dream-org/Dream-v0-Base-7B): h[i] predicts token i + 1, and a mask tensor goes to SDPA as it is."""

from __future__ import annotations

from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput

from .layers import MLP, Attention, LMHead, initialise


class DreamConfig(PretrainedConfig):
    model_type = "Dream"
    keys_to_ignore_at_inference = ["past_key_values"]  # noqa: RUF012

    def __init__(
        self,
        vocab_size: int = 64,
        hidden_size: int = 16,
        intermediate_size: int = 24,
        num_hidden_layers: int = 2,
        num_attention_heads: int = 2,
        initializer_range: float = 0.2,
        rms_norm_eps: float = 1e-6,
        rope_theta: float = 100.0,
        use_cache: bool = False,
        tie_word_embeddings: bool = False,
        mask_token_id: int = 62,
        pad_token_id: int = 63,
        **kwargs,
    ) -> None:
        self.vocab_size, self.hidden_size, self.intermediate_size = vocab_size, hidden_size, intermediate_size
        self.num_hidden_layers, self.num_attention_heads = num_hidden_layers, num_attention_heads
        self.initializer_range, self.rms_norm_eps = initializer_range, rms_norm_eps
        self.rope_theta = rope_theta
        super().__init__(tie_word_embeddings=tie_word_embeddings, **kwargs)
        self.mask_token_id, self.pad_token_id, self.use_cache = mask_token_id, pad_token_id, use_cache


class DreamDecoderLayer(nn.Module):
    def __init__(self, config: DreamConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.input_layernorm = nn.RMSNorm(width, eps=config.rms_norm_eps)
        self.post_attention_layernorm = nn.RMSNorm(width, eps=config.rms_norm_eps)
        self.self_attn = Attention(width, config.num_attention_heads, bias=True)
        self.mlp = MLP(width, config.intermediate_size)

    def forward(self, x: Tensor, mask: Tensor | None, position_ids: Tensor | None) -> tuple[Tensor]:
        x = x + self.self_attn(self.input_layernorm(x), mask, position_ids)
        return (x + self.mlp(self.post_attention_layernorm(x)),)


class DreamPreTrainedModel(PreTrainedModel):
    config_class = DreamConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _no_split_modules = ["DreamDecoderLayer"]  # noqa: RUF012
    _supports_sdpa = True

    def _init_weights(self, module: nn.Module) -> None:
        initialise(module, self.config.initializer_range)


class DreamBaseModel(DreamPreTrainedModel):
    def __init__(self, config: DreamConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.layers = nn.ModuleList(DreamDecoderLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.gradient_checkpointing = False
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | str | None = None,
        position_ids: Tensor | None = None,
        past_key_values: None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        cache_position: None = None,
    ) -> BaseModelOutput:
        x = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        mask = attention_mask if isinstance(attention_mask, Tensor) else None
        all_hidden_states = []
        for layer in self.layers:
            all_hidden_states.append(x)
            if self.gradient_checkpointing and self.training:
                (x,) = self._gradient_checkpointing_func(layer.__call__, x, mask, position_ids)
            else:
                (x,) = layer(x, mask, position_ids)
        x = self.norm(x)
        all_hidden_states.append(x)
        return BaseModelOutput(
            last_hidden_state=x, hidden_states=tuple(all_hidden_states) if output_hidden_states else None
        )


class DreamModel(LMHead, DreamPreTrainedModel):
    """As published: `attention_mask` is "full", None, or what SDPA takes, so bool (B, 1, L, L) but never int64.

    The logits are not shifted; the loss of labels is the causal one, which shifts.
    """

    def __init__(self, config: DreamConfig) -> None:
        super().__init__(config)
        self.model = DreamBaseModel(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | str | None = None,
        position_ids: Tensor | None = None,
        past_key_values: None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        cache_position: None = None,
        num_logits_to_keep: int = 0,
        **loss_kwargs,
    ) -> MaskedLMOutput:
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            output_hidden_states=output_hidden_states,
        )
        logits = self.lm_head(outputs[0][:, -num_logits_to_keep:, :])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits, labels, self.vocab_size, **loss_kwargs)
        return MaskedLMOutput(loss=loss, logits=logits, hidden_states=outputs.hidden_states)
