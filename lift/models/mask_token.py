"""Keep the mask token that a model was trained with beside its weights, where samplers look for it."""

from __future__ import annotations

import json
from pathlib import Path
from types import MethodType
from typing import Any

from lift.atomic_write import atomic_write
from lift.errors import LiftError
from lift_kernels.models import unwrap_model

# Beside an adapter, which is saved without the configuration of its base.
ADAPTER_RECORD = "lift.json"


def record_mask_token(model: Any, mask_token_id: int) -> None:
    """Write the mask token into the model's configuration, and into every folder that an adapter of it is saved to."""
    unwrap_model(model).config.mask_token_id = mask_token_id
    if getattr(model, "peft_config", None) and "save_pretrained" not in vars(model):
        model.save_pretrained = MethodType(save_pretrained, model)


def restore_mask_token(model: Any, folder: str | Path) -> None:
    """Give a model the mask token that the adapter in `folder` was trained with, where the folder says so.

    Raises:
        LiftError: the folder's record cannot be read.
    """
    path = Path(folder) / ADAPTER_RECORD
    if not path.is_file():
        return
    try:
        mask_token_id = int(json.loads(path.read_text("utf-8"))["mask_token_id"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LiftError(
            f"{path} cannot be read ({type(error).__name__}): delete it, and pass --mask_token_id instead."
        ) from None
    record_mask_token(model, mask_token_id)


def save_pretrained(self: Any, save_directory: str, *args: Any, **kwargs: Any) -> Any:
    """Stand in for the method of an instance, under its name: a deep copy has its own, a pickled one its class's."""
    result = type(self).save_pretrained(self, save_directory, *args, **kwargs)
    if kwargs.get("is_main_process", True):
        record = {"mask_token_id": int(unwrap_model(self).config.mask_token_id)}
        with atomic_write(Path(save_directory) / ADAPTER_RECORD) as file:
            file.write(json.dumps(record).encode() + b"\n")
    return result
