"""Where each architecture keeps its head: all that the patch needs to know of a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

FindModule = Callable[[Any], nn.Module]


@dataclass(frozen=True)
class ModelFamily:
    """How a model computes logits = head(transform(backbone(input_ids)[0])).

    Each field finds a submodule of the model. `transform` works row by row, so it may be given only the rows that are
    trained; None where there is none.
    """

    backbone: FindModule
    head: FindModule
    transform: FindModule | None = None


_FAMILIES: dict[str, ModelFamily] = {
    "bert": ModelFamily(
        backbone=lambda model: model.bert,
        transform=lambda model: model.cls.predictions.transform,
        head=lambda model: model.cls.predictions.decoder,
    ),
    "modernbert": ModelFamily(
        backbone=lambda model: model.model,
        transform=lambda model: model.head,
        head=lambda model: model.decoder,
    ),
}


def register_model_family(
    model_type: str,
    *,
    backbone: FindModule,
    head: FindModule,
    transform: FindModule | None = None,
) -> None:
    """Teach `apply_lift_kernels` the architecture whose `config.model_type` is `model_type`.

    Args:
        model_type: the key, for instance "bert"; an existing entry is replaced.
        backbone: model -> the module whose first output is the (B, L, D) hidden states.
        head: model -> the final `nn.Linear` with weight (V, D) and optional bias.
        transform: model -> the module between the two that works on each row (..., D) alone, if there is one.

    Example:
        >>> register_model_family("my_mdlm", backbone=lambda m: m.model, head=lambda m: m.lm_head)
    """
    _FAMILIES[model_type] = ModelFamily(backbone, head, transform)


def find_model_family(model: nn.Module) -> ModelFamily:
    """Return the family of `model`, by its config.

    Raises:
        ValueError: the architecture is unknown; the message names it and says how to add it.
    """
    model_type = getattr(getattr(model, "config", None), "model_type", None)
    if model_type not in _FAMILIES:
        known = ", ".join(sorted(_FAMILIES))
        raise ValueError(
            f"apply_lift_kernels: model type {model_type!r} ({type(model).__name__}) is not known, only {known}. "
            "Add it with lift_kernels.register_model_family(model_type, backbone=..., head=...)."
        )
    return _FAMILIES[model_type]
