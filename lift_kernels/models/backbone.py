"""Run a model up to the hidden states that its head takes, without logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from lift_kernels.models.families import ModelFamily


def run_backbone(
    family: ModelFamily, model: Any, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Tensor:
    """Return the hidden states (B, L, D) of model(*args, **kwargs), whose own forward is `forward`."""
    if family.backbone is not None:
        states: Tensor = family.backbone(model)(*args, **kwargs)[0]
        return states
    assert family.last_norm is not None
    seen: list[Tensor] = []

    def take(_module: Any, _args: Any, states: Tensor) -> Tensor:
        seen.append(states)
        return states[:, :0]  # the logits that follow are those of no position

    hook = family.last_norm(model).register_forward_hook(take)
    try:
        forward(*args, **kwargs)
    finally:
        hook.remove()
    return seen[0]
