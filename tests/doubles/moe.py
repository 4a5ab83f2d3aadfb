"""What the two LLaDA mixtures of experts share: a decoder whose first output is the hidden states."""

from __future__ import annotations

from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import MoeModelOutputWithPast

from .layers import initialise


class MoEPreTrainedModel(PreTrainedModel):
    base_model_prefix = "model"
    supports_gradient_checkpointing = True

    def _init_weights(self, module: nn.Module) -> None:
        initialise(module, self.config.initializer_range)


class MoEDecoder(MoEPreTrainedModel):
    """`layers` and `norm` over embeddings; the subclass names the embedding."""

    def run_layers(
        self, x: Tensor, mask: Tensor | None, output_hidden_states: bool | None, output_router_logits: bool | None,
        position_ids: Tensor | None = None,
    ) -> MoeModelOutputWithPast:  # fmt: skip
        all_hidden_states, all_router_logits = [], []
        for layer in self.layers:
            all_hidden_states.append(x)
            if self.gradient_checkpointing and self.training:
                x, router_logits = self._gradient_checkpointing_func(layer.__call__, x, mask, position_ids)
            else:
                x, router_logits = layer(x, mask, position_ids)
            if router_logits is not None:
                all_router_logits.append(router_logits)
        x = self.norm(x)
        all_hidden_states.append(x)
        return MoeModelOutputWithPast(
            last_hidden_state=x,
            hidden_states=tuple(all_hidden_states) if output_hidden_states else None,
            router_logits=tuple(all_router_logits) if output_router_logits else None,
        )
