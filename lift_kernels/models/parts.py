"""Find what a family names on one model, and say what is missing."""

from __future__ import annotations

from typing import Any

from torch import nn

from lift_kernels import checks
from lift_kernels.models.families import ModelFamily

_OP = "apply_lift_kernels"


def find_head(family: ModelFamily, model: Any) -> Any:
    """Return the head of `model`, once everything that the family names was found on it.

    Raises:
        ValueError: the model has no language-model head, or not what its family names; the message says what to do.
    """
    find_backbone = family.backbone or family.last_norm
    assert find_backbone is not None
    try:
        head, backbone = family.head(model), find_backbone(model)
        transform = None if family.transform is None else family.transform(model)
        logit_numbers(family, model)
    except (AttributeError, KeyError, IndexError) as error:
        raise ValueError(_missing(model, str(error))) from error
    if not isinstance(backbone, nn.Module):
        raise ValueError(_missing(model, f"its backbone or last_norm is {backbone!r}"))
    if family.transform is not None and not callable(transform):
        raise ValueError(_missing(model, f"its transform is {transform!r}"))
    return head


def logit_numbers(family: ModelFamily, model: Any) -> dict[str, Any]:
    """Return logit_scale and logit_softcap of `model`, as the ops take them."""
    scale = None if family.logit_scale is None else family.logit_scale(model)
    softcap = None if family.logit_softcap is None else family.logit_softcap(model)
    numbers = {"logit_scale": 1.0 if scale is None else scale, "logit_softcap": softcap}
    for name, value in numbers.items():
        if value is not None:
            checks.check_positive(_OP, name, value)
    return numbers


def _missing(model: Any, what: str) -> str:
    name = type(model).__name__
    is_headless = hasattr(model, "get_output_embeddings") and model.get_output_embeddings() is None
    if is_headless:
        return f"{_OP}: {name} has no language-model head ({what}). Load the checkpoint with {_class_with_head(model)}."
    return (
        f"{_OP}: {name} lacks what the family {model.config.model_type!r} names ({what}). Correct its entry with "
        "lift_kernels.register_model_family."
    )


def _class_with_head(model: Any) -> str:
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    if model.config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return "AutoModelForMaskedLM"
    # Of code that comes with a checkpoint, which says itself what opens it.
    own = [name for name in getattr(model.config, "auto_map", None) or {} if name.startswith("AutoModelFor")]
    return f"{own[0]} and trust_remote_code=True" if own else "the class that has one"
