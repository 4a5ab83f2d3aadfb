"""Keep what a sampler must know of a training with the model: in its configuration, and beside an adapter.

The mask token is the configuration's `mask_token_id`, where samplers look for it. The rest is its field `lift`, a
mapping of strings: `system` and `system_role`, the text in front of each prompt; `task`, a built-in one; of a training
in blocks, `attention` ("block"), `block_size` and, unless they are counted from a row's start, `block_origin`; and
`corruption`, "uniform" where there was no mask token. A model without the first two was trained on whole rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MethodType
from typing import Any

from lift.atomic_write import atomic_write
from lift.errors import LiftError
from lift.models.saved_record import ADAPTER_RECORD, FIELD, has_random_tokens
from lift_kernels.models import unwrap_model

_OF_BLOCKS = ("attention", "block_size", "block_origin")
_WITHOUT_MASK = {"corruption": "uniform"}


def record_mask_token(model: Any, mask_token_id: int | None) -> None:
    """Write the mask token into the model's configuration, and into every folder that an adapter of it is saved to.

    None says that the model was trained without one, on corruption by random tokens; the configuration's own stays.
    """
    others = {name: value for name, value in training_record(model).items() if name not in _WITHOUT_MASK}
    if mask_token_id is not None:
        unwrap_model(model).config.mask_token_id = mask_token_id
    record_training(model, others if mask_token_id is not None else others | _WITHOUT_MASK)
    if getattr(model, "peft_config", None) and "save_pretrained" not in vars(model):
        model.save_pretrained = MethodType(save_pretrained, model)


def record_training(model: Any, record: Mapping[str, str]) -> None:
    """Write how the prompts of the training looked into the model's configuration, in place of what is there."""
    config = unwrap_model(model).config
    if record or getattr(config, FIELD, None):
        setattr(config, FIELD, dict(record))


def record_blocks(model: Any, block_size: int | None, *, origin: str | None = None) -> None:
    """Write beside it that the training attends to blocks of `block_size` tokens; None: to whole rows.

    `origin` says where they are counted from: "start" or "answer".
    """
    others = {name: value for name, value in training_record(model).items() if name not in _OF_BLOCKS}
    own = {} if block_size is None else {"attention": "block", "block_size": str(block_size)}
    if own and origin == "answer":
        own["block_origin"] = origin
    record_training(model, others | own)


def has_no_mask_token(model: Any) -> bool:
    """Return whether a model was trained on corruption by random tokens, so that it fills in no masks."""
    return has_random_tokens(training_record(model))


def training_record(model: Any) -> dict[str, str]:
    """Return what `record_training` wrote, or what the model was saved with; empty where nothing is known."""
    record = getattr(getattr(unwrap_model(model), "config", None), FIELD, None)
    return {str(k): v for k, v in record.items() if isinstance(v, str)} if isinstance(record, Mapping) else {}


def restore_record(model: Any, folder: str | Path) -> None:
    """Give a model what the training of the adapter in `folder` recorded, where the folder says so.

    Raises:
        LiftError: the folder's record cannot be read.
    """
    path = Path(folder) / ADAPTER_RECORD
    if not path.is_file():
        return
    try:
        record = json.loads(path.read_text("utf-8"))
        mask_token_id = None if has_random_tokens(record) else int(record["mask_token_id"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LiftError(
            f"{path} cannot be read ({type(error).__name__}): delete it, and pass --mask_token_id instead."
        ) from None
    record_mask_token(model, mask_token_id)
    record_training(model, {name: value for name, value in record.items() if isinstance(value, str)})


def save_pretrained(self: Any, save_directory: str, *args: Any, **kwargs: Any) -> Any:
    """Stand in for the method of an instance, under its name: a deep copy has its own, a pickled one its class's."""
    result = type(self).save_pretrained(self, save_directory, *args, **kwargs)
    if kwargs.get("is_main_process", True):
        record: dict[str, Any] = training_record(self)
        if not has_no_mask_token(self):
            record["mask_token_id"] = int(unwrap_model(self).config.mask_token_id)
        with atomic_write(Path(save_directory) / ADAPTER_RECORD) as file:
            file.write(json.dumps(record).encode() + b"\n")
    return result
