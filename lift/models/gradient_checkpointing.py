"""Checkpoint gradients, also of models that do not offer it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from lift.errors import LiftError
from lift.models.transformers_versions import CHECKPOINTING_SWITCHES, enable_own_checkpointing
from lift_kernels.models import options_of, replace_forward, unwrap_model

_OWNER = "enable_gradient_checkpointing"


def enable_gradient_checkpointing(model: nn.Module, options: Mapping[str, Any] | None = None) -> None:
    """Recompute each block's activations in the backward pass instead of keeping them, in training with gradients.

    A model's own way is used where it has one. Where that refuses (the hub's LLaDA has none), every block of the
    model's largest `nn.ModuleList` is checkpointed from outside: names, classes and `state_dict` stay as they are, a
    copy of the model checkpoints its own blocks, and gradients and dropout masks are the same to the bit.

    Args:
        model: a model of transformers, or one wrapped by PEFT.
        options: arguments of `torch.utils.checkpoint.checkpoint`, by default use_reentrant=False; and every_n_layers.

    Raises:
        LiftError: the model has no list of blocks, or an option needs the model's own way.
    """
    inner = unwrap_model(model)
    options = {"use_reentrant": False, **(options or {})}
    every_n_layers, offload = int(options.pop("every_n_layers", 1)), options.pop("offload", False)
    if enable_own_checkpointing(inner, options):
        return
    if offload:
        raise LiftError(
            f"{type(inner).__name__} has no gradient checkpointing of its own, and the option offload needs that: "
            "leave offload out."
        )
    for block in list(_blocks(inner))[::every_n_layers]:
        # A choice of the training run, not of its loss: it stays when `remove_lift_kernels` undoes the patch.
        replace_forward(block, _OWNER, _checkpointed_forward, options=options, outlives_patch=True)
    # A trainer asks the model itself again.
    for switch in CHECKPOINTING_SWITCHES:
        setattr(inner, switch, _is_enabled)


def num_blocks(model: nn.Module) -> int:
    """Return how many blocks checkpointing would recompute one after the other; 1 for a model without any."""
    try:
        return len(_blocks(unwrap_model(model)))
    except LiftError:
        return 1


def _is_enabled(*args: Any, **kwargs: Any) -> None:
    """Stand in for the model's own method, which refuses."""


def _checkpointed_forward(self: Any, own_forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    forward = partial(own_forward, **kwargs)
    if not (self.training and torch.is_grad_enabled()):
        return forward(*args)
    return checkpoint(forward, *args, **options_of(self, _OWNER))


def _blocks(model: nn.Module) -> nn.ModuleList:
    """Return the outermost list of layers with most parameters: experts and the like are lists inside its layers."""
    lists = list(_outermost_lists(model))
    if not lists:
        raise LiftError(
            f"{type(model).__name__} has no gradient checkpointing of its own and no nn.ModuleList of layers to add it "
            "to: leave gradient_checkpointing out."
        )
    return max(lists, key=lambda layers: sum(p.numel() for p in layers.parameters()))


def _outermost_lists(module: nn.Module) -> Iterator[nn.ModuleList]:
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield child
        else:
            yield from _outermost_lists(child)
