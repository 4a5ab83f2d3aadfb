"""Where each architecture keeps its head: all that the patch needs to know of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import gelu

FindModule = Callable[[Any], nn.Module]
# model -> what works on each row (..., D) alone
FindTransform = Callable[[Any], Callable[[Tensor], Tensor]]
FindNumber = Callable[[Any], float | None]


@dataclass(frozen=True)
class ModelFamily:
    """How a model computes logits = softcap(scale * head(transform(hidden_states))).

    The hidden states are the first output of `backbone`; or, in a model whose backbone goes on to the logits, the
    output of `last_norm`, and exactly one of the two is given.
    """

    head: FindModule
    backbone: FindModule | None = None
    last_norm: FindModule | None = None
    transform: FindTransform | None = None
    predicts_next: bool = False
    logit_scale: FindNumber | None = None
    logit_softcap: FindNumber | None = None


def _roberta_transform(model: Any) -> Callable[[Tensor], Tensor]:
    head = model.lm_head
    return lambda rows: head.layer_norm(gelu(head.dense(rows)))


def _distilbert_transform(model: Any) -> Callable[[Tensor], Tensor]:
    return lambda rows: model.vocab_layer_norm(model.activation(model.vocab_transform(rows)))


def _llada_head(model: Any) -> nn.Module:
    transformer, config = model.model.transformer, model.model.config
    return transformer.wte if config.weight_tying else transformer.ff_out


_BERT = ModelFamily(
    backbone=lambda model: model.bert,
    transform=lambda model: model.cls.predictions.transform,
    head=lambda model: model.cls.predictions.decoder,
)
_ROBERTA = ModelFamily(
    backbone=lambda model: model.roberta, transform=_roberta_transform, head=lambda model: model.lm_head.decoder
)
_DECODER_AND_HEAD = ModelFamily(backbone=lambda model: model.model, head=lambda model: model.lm_head)

_FAMILIES: dict[str, ModelFamily] = {
    "bert": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "distilbert": ModelFamily(
        backbone=lambda model: model.distilbert,
        transform=_distilbert_transform,
        head=lambda model: model.vocab_projector,
    ),
    "modernbert": ModelFamily(
        backbone=lambda model: model.model, transform=lambda model: model.head, head=lambda model: model.decoder
    ),
    "llada": ModelFamily(
        last_norm=lambda model: model.model.transformer.ln_f,
        head=_llada_head,
        logit_scale=lambda model: model.model.config.d_model**-0.5 if model.model.config.scale_logits else 1.0,
    ),
    "lladamoe": _DECODER_AND_HEAD,
    "llada2_moe": _DECODER_AND_HEAD,
    "llada2_moe_veomni": _DECODER_AND_HEAD,
    "Dream": ModelFamily(
        backbone=lambda model: model.model, head=lambda model: model.lm_head, predicts_next=True
    ),
    "diffusion_gemma": ModelFamily(
        backbone=lambda model: model.model,
        head=lambda model: model.lm_head,
        logit_softcap=lambda model: model.final_logit_softcapping,
    ),
}  # fmt: skip


def register_model_family(
    model_type: str,
    *,
    head: FindModule,
    backbone: FindModule | None = None,
    last_norm: FindModule | None = None,
    transform: FindTransform | None = None,
    predicts_next: bool = False,
    logit_scale: FindNumber | None = None,
    logit_softcap: FindNumber | None = None,
) -> None:
    """Teach `apply_lift_kernels` the architecture whose `config.model_type` is `model_type`.

    Args:
        model_type: the key, for instance "bert"; an existing entry is replaced.
        head: model -> the final `nn.Linear` with weight (V, D) and optional bias.
        backbone: model -> the module whose first output is the (B, L, D) hidden states. It is called with the
            arguments of the model, without labels.
        last_norm: instead, for a model whose backbone returns logits: model -> the module whose output (B, L, D) the
            head takes. The model's own forward runs up to there.
        transform: model -> a module or function between hidden states and head, which works on each row (..., D) alone.
        predicts_next: the hidden state of position i predicts the token of position i + 1, as in Dream.
        logit_scale, logit_softcap: model -> the number, as in `linear_cross_entropy`.

    Raises:
        ValueError: not exactly one of backbone and last_norm is given.

    Example:
        >>> register_model_family("my_mdlm", backbone=lambda m: m.model, head=lambda m: m.lm_head)
    """
    if (backbone is None) == (last_norm is None):
        raise ValueError(f"register_model_family: {model_type!r} needs either backbone or last_norm.")
    _FAMILIES[model_type] = ModelFamily(
        head, backbone, last_norm, transform, predicts_next, logit_scale, logit_softcap
    )


def known_model_types() -> Mapping[str, ModelFamily]:
    """The families by `config.model_type`."""
    return MappingProxyType(_FAMILIES)


def find_model_family(model: nn.Module) -> ModelFamily:
    """Return the family of `model`, by its config.

    Raises:
        ValueError: the architecture is unknown; the message names it and says how to add it.
    """
    model_type = getattr(getattr(model, "config", None), "model_type", None)
    if model_type == "llada" and hasattr(model, "lm_head"):
        model_type = "lladamoe"  # the mixture of experts calls itself llada too, and has another layout
    if model_type not in _FAMILIES:
        known = ", ".join(sorted(_FAMILIES))
        raise ValueError(
            f"apply_lift_kernels: model type {model_type!r} ({type(model).__name__}) is not known, only {known}. "
            "Add it with lift_kernels.register_model_family(model_type, backbone=..., head=...)."
        )
    return _FAMILIES[model_type]
