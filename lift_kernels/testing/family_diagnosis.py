"""Find which entry of a model family is likely wrong, from what the model's own forward does around its head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from lift_kernels.models.backbone import run_backbone
from lift_kernels.models.families import ModelFamily
from lift_kernels.models.patch import unwrap_model
from lift_kernels.testing.own_results import relative_error

_CLOSE = 1e-4


def likely_cause(model: nn.Module, family: ModelFamily, head: Any, inputs: Mapping[str, Any], logits: Tensor) -> str:
    """Return the entry of `family` that explains why its logits differ from the model's own (B, L, V), as a clause."""
    inner = unwrap_model(model)
    with torch.no_grad():
        taken = _rows_taken_by(head, model, inputs)
        states = run_backbone(family, inner, inner.forward, (), dict(inputs))
        transform = (lambda rows: rows) if family.transform is None else family.transform(inner)
        try:
            rows = transform(states)
            found = _logits(family, inner, head, rows)
        except RuntimeError as error:
            return f"transform or backbone, as the head cannot take what they give ({str(error).splitlines()[0]})"
        if relative_error(found, logits) <= _CLOSE:
            few = states.flatten(0, 1)[::2]
            if relative_error(transform(few), rows.flatten(0, 1)[::2]) > _CLOSE:
                return "transform, as it does not work on each row alone"
            return "head, transform or backbone, one of which is a copy and not the module that the model trains"
        return _by_the_numbers(found, logits) or _by_the_rows(taken, states, rows, head)


def _by_the_numbers(found: Tensor, logits: Tensor) -> str | None:
    """Explain logits that are a simple function of those found."""
    found, logits = found.double(), logits.double()
    ratio = (found * logits).sum() / found.square().sum()
    if relative_error(ratio * found, logits) <= _CLOSE:
        return f"logit_scale, as the model's logits are {ratio:.4g} times those of the family"
    difference = (logits - found).flatten(0, -2)
    if relative_error(difference[:1].expand_as(difference), difference) <= _CLOSE:
        return "head, as the model adds a bias to its logits which that module does not hold"
    order = found.flatten().argsort()
    steps = logits.flatten()[order].diff()
    if steps.min() >= -_CLOSE * logits.abs().max():
        return "logit_softcap, as the model's logits rise with those of the family but not in proportion"
    return None


def _by_the_rows(taken: Tensor | None, states: Tensor, rows: Tensor, head: Any) -> str:
    """Explain by what the head takes in the model's own forward."""
    if taken is None:
        if isinstance(head, nn.Embedding):
            return "head, transform or backbone, as the product of the tied weight with what they give is another"
        return "head, as the model's own forward does not call that module"
    if taken.shape == rows.shape and relative_error(taken, rows) <= _CLOSE:
        return "head, as the logits are not what that module gives"
    if taken.shape == states.shape and relative_error(taken, states) <= _CLOSE:
        return "transform, as the head takes the hidden states as they are"
    return "transform (or backbone, last_norm), as the head takes other rows in the model's own forward"


def _rows_taken_by(head: Any, model: nn.Module, inputs: Mapping[str, Any]) -> Tensor | None:
    """Return what the head was last called with in the model's own forward; None if it was not, or with ids."""
    seen: list[Tensor] = []
    hook = head.register_forward_pre_hook(lambda _, args: seen.extend(args[:1]))
    try:
        model(**inputs)
    finally:
        hook.remove()
    return seen[-1] if seen and seen[-1].is_floating_point() else None


def _logits(family: ModelFamily, model: Any, head: Any, rows: Tensor) -> Tensor:
    logits = linear(rows, head.weight, getattr(head, "bias", None))
    scale = None if family.logit_scale is None else family.logit_scale(model)
    softcap = None if family.logit_softcap is None else family.logit_softcap(model)
    logits = logits if scale is None else scale * logits
    return logits if softcap is None else softcap * torch.tanh(logits / softcap)
