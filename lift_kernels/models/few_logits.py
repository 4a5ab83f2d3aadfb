"""Logits of a few positions: the head is given their hidden states alone."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from lift_kernels.models.families import ModelFamily


def selected_logits(family: ModelFamily, model: nn.Module, inner: Any, inputs: dict[str, Any], index: Tensor) -> Tensor:
    """Return the logits (N, V) that model(**inputs) gives at some positions, without those of the others.

    Args:
        family: of the model.
        model: the model or what wraps it, called without labels.
        inner: the model itself, whose head is given fewer rows.
        inputs: its arguments, of which `input_ids` (B, L).
        index: (N,) int64, the positions, those of a batch in one row.
    """

    def select(states: Tensor) -> Tensor:
        return states.flatten(0, 1)[index][None]

    if family.last_norm is None:
        hook = family.head(inner).register_forward_pre_hook(lambda _, args: (select(args[0]), *args[1:]))
    else:
        hook = family.last_norm(inner).register_forward_hook(lambda _, _args, states: select(states))
    try:
        logits: Tensor = model(**inputs).logits
    finally:
        hook.remove()
    if logits.shape[:2] == inputs["input_ids"].shape:  # a compiled model calls no hooks that came later
        logits = select(logits)
    return logits[0]
