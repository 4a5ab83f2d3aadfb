"""Check what a model family was registered with against the model's own logits."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from lift_kernels.models.families import find_model_family
from lift_kernels.models.patch import remove_lift_kernels, unwrap_model
from lift_kernels.testing.family_comparison import FamilyComparison


def check_model_family(
    model: nn.Module,
    inputs: Mapping[str, Any] | None = None,
    *,
    predicts_next: bool | None = None,
    tolerance: float | None = None,
    seed: int = 0,
) -> None:
    """Raise unless `apply_lift_kernels` gives this model the loss and the gradients of its own logits.

    Run it after `register_model_family`, on a small model of the new type. On a copy in evaluation mode, whose
    parameters are all trained and whose zero ones are made random so that each counts, it compares with cross-entropy
    over the logits: the loss, the statistics of every token, the gradient of every parameter (a tied head gets both
    parts), and the gradients once more with the head frozen. It checks that `predicts_next` agrees with the loss that
    the model itself returns for labels, that the model takes the registered form of attention mask, that calls without
    labels stay the same, and that `remove_lift_kernels` restores every forward. The model passed does not change.

    Args:
        model: float32 or float64, on any device, patched or not; its type is registered. It needs a `config`.
        inputs: keyword arguments of the model without labels, for a model that takes more than these: by default random
            input_ids (2, 8) and an attention mask of the registered form that hides the end of a row. The form of the
            mask is checked only where there is nothing but input_ids and attention_mask.
        predicts_next: whether the logits at position i are about token i + 1, for a model that returns no loss or
            another one; None believes the registered family where the model's own loss does not contradict it.
        tolerance: largest error, relative to the largest entry of each tensor; by default 1e-9 where the logits are
            float64, else 1e-4.
        seed: of the random ids, labels and weights.

    Raises:
        AssertionError: something differs; one sentence names it, and the likely cause.
        ValueError: the model type is not registered, or the model is not float32 or float64; or what
            `apply_lift_kernels` raises.

    Example:
        >>> register_model_family("my_mdlm", backbone=lambda m: m.model, head=lambda m: m.lm_head)
        >>> check_model_family(MyMDLM(MyConfig(vocab_size=64, hidden_size=16)))
    """
    twin = _prepared_copy(model, seed)
    family = find_model_family(unwrap_model(twin))
    FamilyComparison(twin, family, inputs, tolerance, torch.Generator().manual_seed(seed)).run(predicts_next)


def _prepared_copy(model: nn.Module, seed: int) -> nn.Module:
    """Return a trainable copy without the patch, in evaluation mode, random where a parameter is all zero."""
    twin = copy.deepcopy(model)
    remove_lift_kernels(twin).eval().requires_grad_(True)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in twin.named_parameters():
            if parameter.dtype not in (torch.float32, torch.float64):
                raise ValueError(
                    f"check_model_family: the model must be float32 or float64, got {parameter.dtype} in {name}. "
                    "Convert it with .float()."
                )
            if not parameter.any():
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return twin
