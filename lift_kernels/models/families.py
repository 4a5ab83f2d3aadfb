"""Say where each architecture keeps its head: all that the patch needs to know of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import gelu

from lift_kernels import checks

FindModule = Callable[[Any], nn.Module]
# model -> what works on each row (..., D) alone
FindTransform = Callable[[Any], Callable[[Tensor], Tensor]]
FindNumber = Callable[[Any], float | None]

# What a model takes as attention_mask: (B, L), 1 where attention is allowed; (B, 1, L, L) floats that are added to the
# scores, never None; (B, 1, L, L) bool; or whatever comes, as it does not look at it.
ATTENTION_MASKS = ("tokens", "added_pairs", "bool_pairs", "ignored")
# What a position sees where text is generated: the whole row, or no later block.
ATTENTIONS = ("full", "block")


@dataclass(frozen=True)
class ModelFamily:
    """How a model computes logits = softcap(scale * head(transform(hidden_states))).

    The hidden states are the first output of `backbone`; or, in a model whose backbone goes on to the logits, the
    output of `last_norm`, and exactly one of the two is given. `attention_mask` is one of `ATTENTION_MASKS`,
    `attention` one of `ATTENTIONS`; `block_size` is that of a model whose configuration has none. With `takes_canvas`
    the tokens to predict are `decoder_input_ids`, behind a text that an encoder reads from left to right.
    """

    head: FindModule
    backbone: FindModule | None = None
    last_norm: FindModule | None = None
    transform: FindTransform | None = None
    predicts_next: bool = False
    logit_scale: FindNumber | None = None
    logit_softcap: FindNumber | None = None
    attention_mask: str = "tokens"
    attention: str = "full"
    block_size: int | None = None
    takes_canvas: bool = False


def _roberta_transform(model: Any) -> Callable[[Tensor], Tensor]:
    head = model.lm_head
    return lambda rows: head.layer_norm(gelu(head.dense(rows)))


def _distilbert_transform(model: Any) -> Callable[[Tensor], Tensor]:
    return lambda rows: model.vocab_layer_norm(model.activation(model.vocab_transform(rows)))


def _albert_transform(model: Any) -> Callable[[Tensor], Tensor]:
    head = model.predictions
    return lambda rows: head.LayerNorm(head.activation(head.dense(rows)))


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
_LLADA_MOE = replace(_DECODER_AND_HEAD, attention_mask="ignored")
_LLADA2 = replace(_DECODER_AND_HEAD, attention_mask="added_pairs", attention="block", block_size=32)
_A2D = replace(_DECODER_AND_HEAD, attention_mask="bool_pairs")

_REGISTER = "register_model_family"

_FAMILIES: dict[str, ModelFamily] = {
    "albert": ModelFamily(
        backbone=lambda model: model.albert,
        transform=_albert_transform,
        head=lambda model: model.predictions.decoder,
    ),
    "bert": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "distilbert": ModelFamily(
        backbone=lambda model: model.distilbert,
        transform=_distilbert_transform,
        head=lambda model: model.vocab_projector,
    ),
    "electra": ModelFamily(
        backbone=lambda model: model.electra,
        transform=lambda model: model.generator_predictions,
        head=lambda model: model.generator_lm_head,
    ),
    "modernbert": ModelFamily(
        backbone=lambda model: model.model, transform=lambda model: model.head, head=lambda model: model.decoder
    ),
    "llada": ModelFamily(
        last_norm=lambda model: model.model.transformer.ln_f,
        head=_llada_head,
        logit_scale=lambda model: model.model.config.d_model**-0.5 if model.model.config.scale_logits else 1.0,
        attention_mask="ignored",
    ),
    "lladamoe": _LLADA_MOE,
    "llada_moe": _LLADA_MOE,
    "llada2_moe": _LLADA2,
    "llada2_moe_veomni": _LLADA2,
    "a2d-qwen3": _A2D,
    "sdar": replace(_A2D, attention="block", block_size=4),
    "Dream": replace(_DECODER_AND_HEAD, predicts_next=True, attention_mask="bool_pairs"),
    "diffusion_gemma": ModelFamily(
        backbone=lambda model: model.model,
        head=lambda model: model.lm_head,
        logit_softcap=lambda model: model.final_logit_softcapping,
        attention="block",
        takes_canvas=True,
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
    attention_mask: str = "tokens",
    attention: str = "full",
    block_size: int | None = None,
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
        attention_mask: what the model takes: "tokens" (B, L), "added_pairs" (B, 1, L, L) floats added to the scores
            and never None, "bool_pairs" (B, 1, L, L), or "ignored".
        attention: what a position sees where text is generated: "full", the whole row, or "block", no later block.
            Training follows it by default.
        block_size: of "block", where the configuration of the model has no `block_size`.

    Whether the functions find something is known when `apply_lift_kernels` is given a model.

    Raises:
        TypeError: an argument is not of its kind.
        ValueError: not exactly one of backbone and last_norm is given, attention_mask or attention is none of these, or
            block_size is below 1.

    Example:
        >>> register_model_family("my_mdlm", backbone=lambda m: m.model, head=lambda m: m.lm_head)
    """
    if not isinstance(model_type, str):
        raise TypeError(f"{_REGISTER}: model_type must be a str, got {type(model_type).__name__}.")
    if not model_type:
        raise ValueError(f"{_REGISTER}: model_type must not be empty: it is the config.model_type of the model.")
    _check_function("head", head)
    optional = {
        "backbone": backbone, "last_norm": last_norm, "transform": transform, "logit_scale": logit_scale,
        "logit_softcap": logit_softcap,
    }  # fmt: skip
    for name, function in optional.items():
        if function is not None:
            _check_function(name, function)
    if (backbone is None) == (last_norm is None):
        raise ValueError(f"{_REGISTER}: {model_type!r} needs either backbone or last_norm.")
    checks.check_bool(_REGISTER, "predicts_next", predicts_next)
    checks.check_choice(_REGISTER, "attention_mask", attention_mask, ATTENTION_MASKS)
    checks.check_choice(_REGISTER, "attention", attention, ATTENTIONS)
    if block_size is not None:
        checks.check_int(_REGISTER, "block_size", block_size, 1, 1 << 31)
    _FAMILIES[model_type] = ModelFamily(
        head, backbone, last_norm, transform, predicts_next, logit_scale, logit_softcap, attention_mask, attention,
        block_size,
    )  # fmt: skip


def _check_function(name: str, function: object) -> None:
    if not callable(function) or isinstance(function, (nn.Module, type)):
        raise TypeError(
            f"{_REGISTER}: {name} must be a function of the model, such as lambda model: model.{name}, got "
            f"{type(function).__name__}."
        )


def known_model_types() -> Mapping[str, ModelFamily]:
    """Return the families by `config.model_type`."""
    return MappingProxyType(_FAMILIES)


def family_of(model: nn.Module) -> ModelFamily | None:
    """Return the family of an unwrapped model by its config, or None."""
    model_type = getattr(getattr(model, "config", None), "model_type", None)
    if model_type == "llada" and hasattr(model, "lm_head"):
        model_type = "lladamoe"  # the mixture of experts calls itself llada too, and has another layout
    return _FAMILIES.get(str(model_type))


def find_model_family(model: nn.Module) -> ModelFamily:
    """Return the family of `model`, by its config.

    Raises:
        ValueError: the architecture is unknown; the message names it and says how to add it.
    """
    family = family_of(model)
    if family is None:
        model_type = getattr(getattr(model, "config", None), "model_type", None)
        known = ", ".join(sorted(_FAMILIES))
        raise ValueError(
            f"apply_lift_kernels: model type {model_type!r} ({type(model).__name__}) is not known, only {known}. "
            "Add it with lift_kernels.register_model_family(model_type, backbone=..., head=...)."
        )
    return family
