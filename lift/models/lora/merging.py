"""Add an adapter to the weights of its base model, in float32, and round the sum once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lift.errors import LiftError
from lift.models.lora.adapters import check_mergeable, load_adapter


def merge_adapter(model: nn.Module, folder: str | Path) -> Any:
    """Put the adapter in `folder` into its base model for good, and return that, in the dtypes that it came in.

    PEFT rounds an adapter's product to the dtype of the weight before it adds it, and the sum once more. Here each
    layer is merged in float32, by PEFT's own rule for its kind, and rounded once; no more than one layer is held in
    float32 at a time. What was trained whole (`modules_to_save`) PEFT rounds to the dtype of what it replaces.

    Raises:
        LiftError: the adapter does not fit, cannot be merged, or gives weights that are not finite.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    adapted = load_adapter(model, folder)
    check_mergeable(adapted)
    for layer in list(adapted.modules()):
        if isinstance(layer, BaseTunerLayer):
            vars(layer)["merge"] = partial(_merge_in_float32, layer, layer.merge)
    try:
        merged = adapted.merge_and_unload(safe_merge=True)
    except (ValueError, RuntimeError, NotImplementedError) as error:
        raise LiftError(f"the adapter {folder} cannot be merged: {' '.join(str(error).split())}") from None
    for name, parameter in merged.named_parameters():
        if not torch.isfinite(parameter).all():
            dtype = str(parameter.dtype).removeprefix("torch.")
            raise LiftError(f"the adapter {folder} cannot be merged: {name} is not finite in {dtype}.")
    return merged


def _merge_in_float32(layer: Any, merge: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    with _widened(layer):
        merge(*args, **kwargs)


@contextmanager
def _widened(module: nn.Module) -> Iterator[None]:
    """Hold the narrow parameters of a module, base and adapter alike, in float32 for the length of a `with` block."""
    narrow = [(p, p.dtype) for p in module.parameters() if p.dtype in (torch.bfloat16, torch.float16)]
    for parameter, _ in narrow:
        parameter.data = parameter.data.float()
    yield
    for parameter, dtype in narrow:
        parameter.data = parameter.data.to(dtype)
