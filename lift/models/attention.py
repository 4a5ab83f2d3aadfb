"""Give a model's forward its attention mask in the form it takes, and the positions of packed rows.

A model that ignores its mask, as LLaDA does, would mix the examples of a packed row without a word, so only the types
below are let through. Each is tested: packed, it predicts what it predicts for its examples alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lift.errors import LiftError
from lift.models.block_attention import flex_mask, noisy_and_clean_pairs
from lift.models.canvas import canvas_pairs
from lift.models.positions import check_length, position_ids_for
from lift.models.transformers_versions import PACKING_SINCE, keeps_packed_examples_apart, version_name
from lift.objectives.blocks import Blocks
from lift_kernels.models import ModelFamily, family_of, positions_of, unwrap_model

PACKABLE_MODELS = ("albert", "bert", "camembert", "distilbert", "electra", "modernbert", "roberta", "xlm-roberta")
_ATTENTION = ("sdpa", "eager")
_TAKES_PAIRS = (None, *_ATTENTION, "flex_attention")


def check_packable(config: Any) -> None:
    """Raise LiftError, with the remedy, if the model of this transformers configuration cannot take packed rows."""
    remedy = "set packing=False; grouping rows by length saves padding too."
    if config.model_type not in PACKABLE_MODELS:
        raise LiftError(
            "packing needs a model known to keep the examples of a row apart "
            f"({', '.join(PACKABLE_MODELS)}), and model type {config.model_type!r} is not: {remedy}"
        )
    if config._attn_implementation not in _ATTENTION:
        raise LiftError(
            f"packing needs a model loaded with attn_implementation {' or '.join(map(repr, _ATTENTION))}, got "
            f"{config._attn_implementation!r}: load it so, or {remedy}"
        )
    if not keeps_packed_examples_apart():
        oldest = ".".join(map(str, PACKING_SINCE))
        raise LiftError(f"packing needs transformers {oldest} or newer, got {version_name()}: {remedy}")


def attention_arguments(
    family: ModelFamily | None, model: Any, inputs: Mapping[str, Any], *, rows: Tensor | None = None, views: int = 1
) -> dict[str, Any]:
    """Return `attention_mask` and `position_ids` of a collated batch as the model takes them, where it needs them.

    Args:
        family: of the model; one of no known family takes a mask as it is.
        model: the model itself, wrapped or not.
        inputs: of `MaskedDiffusionCollator`; with `blocks` in it, of noisy and clean rows side by side.
        rows: (R,) int64, the rows wanted, in this order; by default all.
        views: how often the batch is repeated.

    Raises: LiftError if the batch is packed and the model not one that takes it, or its rows have more tokens than the
        model has positions.
    """
    if inputs.get("blocks") is not None:
        return _block_arguments(model, inputs, rows, views)
    positions, config = positions_of(model), unwrap_model(model).config
    found = {name: inputs[name] for name in ("attention_mask", "position_ids") if inputs.get(name) is not None}
    input_ids = inputs["input_ids"]
    if rows is not None:
        found, input_ids = {name: tensor[rows] for name, tensor in found.items()}, input_ids[rows]
    if views > 1:
        found = {name: torch.cat([tensor] * views) for name, tensor in found.items()}
        input_ids = torch.cat([input_ids] * views)
    mask = found.get("attention_mask")
    if mask is not None and mask.dim() == 4:
        check_packable(config)
        found["position_ids"] = found["position_ids"] + positions.first
        return found | {"attention_mask": _masks(config, mask)}
    check_length(
        positions,
        input_ids.shape[1],
        "a batch has rows of",
        "prepare its rows with max_length={limit}, and pad no further",
    )
    position_ids = found.get("position_ids", position_ids_for(positions, input_ids, mask))
    if position_ids is not None:
        found["position_ids"] = position_ids
    mask = mask_as_taken(family, mask, input_ids, config)
    return found if mask is None else found | {"attention_mask": mask}


def _block_arguments(model: Any, inputs: Mapping[str, Any], rows: Tensor | None, views: int) -> dict[str, Any]:
    """Those of noisy rows with the clean ones behind them: both halves share their positions."""
    input_ids, is_token, position_ids = inputs["input_ids"], inputs.get("attention_mask"), inputs.get("position_ids")
    num_rows, length = input_ids.shape
    blocks: Blocks = inputs["blocks"].to(input_ids.device)
    positions = positions_of(model)
    check_length(
        positions, length, "a batch has rows of", "prepare its rows with max_length={limit}, and pad no further"
    )
    # Rows whose blocks begin alike, and that have no padding to hide, are alike: one mask does for all.
    number = inputs["blocks"].number
    is_alike = position_ids is None and is_token is None and bool((number == number[:1]).all())
    if position_ids is None:
        position_ids = torch.arange(length, device=input_ids.device).expand(num_rows, length)
    else:  # padding of packed rows is a document of its own
        is_token = None
    wanted = torch.arange(num_rows, device=input_ids.device) if rows is None else rows
    wanted = wanted.repeat(views)
    which = wanted[:1] if is_alike else wanted
    pairs = noisy_and_clean_pairs(blocks.take(which), None if is_token is None else is_token[which])
    family, config = family_of(unwrap_model(model)), unwrap_model(model).config
    if family is not None and family.takes_canvas:
        config = config.get_text_config()
        encoder, canvas = (
            {kind: _expanded(_for_implementation(config, mask), len(wanted)) for kind, mask in masks.items()}
            for masks in canvas_pairs(pairs, blocks.take(which), config.sliding_window)
        )
        own = {"position_ids": position_ids[wanted], "decoder_position_ids": position_ids[wanted]}
        return own | {"attention_mask": encoder, "decoder_attention_mask": canvas}
    both = position_ids[wanted].repeat(1, 2)
    taken = pairs_as_taken(model, pairs, position_ids=both[: len(which)])
    return {"attention_mask": _expanded(taken, len(wanted)), "position_ids": both + positions.first}


def _expanded(mask: Any, num_rows: int) -> Any:
    """One mask for all rows, or each kind of layer's; flex attention's does for all as it is."""
    if isinstance(mask, dict):
        return {kind: _expanded(one, num_rows) for kind, one in mask.items()}
    return mask.expand(num_rows, -1, -1, -1) if isinstance(mask, Tensor) else mask


def mask_as_taken(
    family: ModelFamily | None, mask: Tensor | None, input_ids: Tensor, config: Any = None
) -> Tensor | None:
    """Return the mask of `input_ids` (B, L) in the form that a model of `family` takes, or None where it needs none.

    Args:
        mask: (B, L), 1 where attention is allowed; None where it is everywhere.
        config: of the model, which says what its attention is; by default one that takes bool masks.

    Source: what the models' own code takes; Dream's hands it to SDPA, which refuses integers
        (github.com/DreamLM/Dream, issue 27), LLaDA2's needs floats, LLaDA's ignores it
        (github.com/ML-GSAI/LLaDA, issue 89).
    """
    if family is None or family.attention_mask in ("tokens", "ignored"):
        return mask
    batch, length = input_ids.shape
    if mask is None:
        if family.attention_mask == "bool_pairs":
            return None
        mask = torch.ones(batch, length, dtype=torch.int64, device=input_ids.device)
    pairs = mask.bool()[:, None, None, :].expand(batch, 1, length, length)
    return _for_implementation(config, pairs) if family.attention_mask == "bool_pairs" else _added(pairs)


def why_padding_counts(model: Any) -> str | None:
    """Return why padding changes what a model says of a row's tokens; None where it tells them apart."""
    family, positions = family_of(unwrap_model(model)), positions_of(model)
    if family is not None and family.attention_mask == "ignored":
        return "ignores attention masks"
    if positions.is_table and not positions.is_argument:
        return "takes no position_ids for its absolute positions"
    return None


def pairs_as_taken(model: Any, pairs: Tensor, *, position_ids: Tensor | None = None) -> Any:
    """Return what `model` takes for `pairs` (B, 1, queries, keys) bool, True where a query sees a key.

    `position_ids` (B, keys), by default those of columns, say what is near, of models that see a window only.

    Raises: LiftError for a model that looks at no attention mask, or only at masks of tokens in this transformers or
        by the attention that it was loaded with.
    """
    inner = unwrap_model(model)
    family = family_of(inner)
    if family is not None and family.attention_mask == "ignored":
        raise LiftError(f"{type(inner).__name__} ignores attention masks: use attention='full'.")
    implementation = getattr(inner.config, "_attn_implementation", None)
    if implementation not in _TAKES_PAIRS:
        raise LiftError(
            f"{type(inner).__name__} attends by {implementation}, which takes no mask of pairs of tokens: load it with "
            "attn_implementation='sdpa', or use attention='full'."
        )
    if family is None or family.attention_mask == "bool_pairs":
        return _for_implementation(inner.config, pairs)
    if family.attention_mask == "tokens" and not keeps_packed_examples_apart():
        oldest = ".".join(map(str, PACKING_SINCE))
        raise LiftError(
            f"{type(inner).__name__} takes blocks from transformers {oldest} on, got {version_name()}: "
            "use attention='full'."
        )
    return _added(pairs) if family.attention_mask == "added_pairs" else _masks(inner.config, pairs, position_ids)


def _masks(config: Any, mask: Tensor, position_ids: Tensor | None = None) -> Any:
    """Return the mask (B, 1, L, L) for all layers, or one for each kind of layer where some see a window only."""
    if "sliding_attention" not in (getattr(config, "layer_types", None) or ()):
        return _for_implementation(config, mask)
    position = torch.arange(mask.shape[-1], device=mask.device)[None] if position_ids is None else position_ids
    is_near = ((position[:, :, None] - position[:, None, :]).abs() <= config.sliding_window)[:, None]
    return {
        "full_attention": _for_implementation(config, mask),
        "sliding_attention": _for_implementation(config, mask & is_near),
    }


def _for_implementation(config: Any, mask: Tensor) -> Any:
    implementation = getattr(config, "_attn_implementation", None)
    if implementation == "flex_attention":
        return flex_mask(mask)
    if implementation != "eager":
        return mask
    # Eager attention adds its mask to the scores, and a bool one would add 0 and 1.
    return _added(mask)


def _added(mask: Tensor) -> Tensor:
    return torch.zeros(mask.shape, device=mask.device).masked_fill_(~mask, torch.finfo(torch.float32).min)
