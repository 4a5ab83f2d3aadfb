"""Find, load and check adapters on disk."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from torch import nn

from lift.errors import LiftError
from lift.models.loading import is_missing_folder, load_generation_config
from lift.models.lora.required import require
from lift.models.lora.wrapping import parameter_owners
from lift.models.training_record import restore_record
from lift.models.transformers_versions import without_renaming_notice

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"


def is_adapter(folder: str | Path) -> bool:
    """Return whether a folder holds a PEFT adapter."""
    return (Path(folder) / ADAPTER_CONFIG).is_file()


def base_of_adapter(folder: str | Path) -> str:
    """Return the folder or Hub id of the model that an adapter belongs to.

    Raises:
        LiftError: the adapter does not say, or names a folder that is not there.
    """
    base = _adapter_config(folder).get("base_model_name_or_path")
    if not base:
        raise LiftError(f"{Path(folder) / ADAPTER_CONFIG} names no base model: set base_model_name_or_path in it.")
    if is_missing_folder(str(base)):
        raise LiftError(
            f"the adapter {folder} belongs to {base}, and there is no such folder: set base_model_name_or_path in "
            f"{Path(folder) / ADAPTER_CONFIG} to where the base is now."
        )
    return str(base)


def generation_config_of(name: str) -> Any:
    """Return the generation configuration that lies with a model, or with an adapter's base; None without one."""
    found = load_generation_config(name)
    return load_generation_config(base_of_adapter(name)) if found is None and is_adapter(name) else found


def load_adapter(model: nn.Module, folder: str | Path) -> Any:
    """Put the adapter in `folder` into its base model, frozen, and give that the mask token of the adapter's training.

    Returns: `peft.PeftModel`.

    Raises:
        LiftError: peft is missing, the adapter's weights are missing or pickled, or they do not fit the model.
    """
    require("peft", "an adapter")
    from peft import PeftModel

    if not (Path(folder) / ADAPTER_WEIGHTS).is_file():
        raise LiftError(
            f"the adapter {folder} has no {ADAPTER_WEIGHTS}, and pickled weights are not read: convert them."
        )
    try:
        with without_renaming_notice(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Found missing adapter keys")  # `_check_loaded` finds them too
            adapted = PeftModel.from_pretrained(model, str(folder))
    except (ValueError, RuntimeError, KeyError) as error:
        raise LiftError(f"the adapter {folder} does not fit its base model: {' '.join(str(error).split())}") from None
    _check_loaded(adapted, folder)
    restore_record(adapted, folder)
    return adapted


def unfreeze_adapter(model: Any) -> None:
    """Let the adapter of a `peft.PeftModel` be trained, as it was; any other model is left as it is."""
    if not hasattr(model, "peft_config"):
        return
    for name, parameter in model.named_parameters():
        if f".{model.base_model.prefix}" in name or ".modules_to_save." in name:
            parameter.requires_grad_(True)


def check_mergeable(model: nn.Module) -> None:
    """Check that no layer with an adapter shares its weight: merged, the adapter would change the other layer too.

    Raises:
        LiftError: one does.
    """
    owners = parameter_owners(model)
    for name, module in model.named_modules():
        base = getattr(module, "base_layer", None)
        for parameter in () if base is None else base.parameters(recurse=False):
            shared = [owner for owner in owners[id(parameter)] if owner != f"{name}.base_layer"]
            if shared:
                raise LiftError(
                    f"the adapter cannot be merged: {name} shares its weight with {shared[0]}, which has no adapter; "
                    "use base and adapter as they are."
                )


def check_resumable(model: nn.Module, checkpoint: str | Path) -> None:
    """Check that a checkpoint continues this model: full on full, an adapter on an adapter of the same shape.

    Raises:
        LiftError: it does not; peft would keep the model's rank, scale and targets without a word, or fail obscurely.
    """
    configs: dict[str, Any] = getattr(model, "peft_config", {})
    if is_adapter(checkpoint) != bool(configs):
        kinds = ("an adapter", "true") if is_adapter(checkpoint) else ("a whole model", "false")
        raise LiftError(f"the checkpoint {checkpoint} holds {kinds[0]}: resume with --use_peft {kinds[1]}.")
    if not configs:
        return
    saved, ours = _adapter_config(checkpoint), next(iter(configs.values())).to_dict()
    for name in ("r", "lora_alpha", "target_modules", "modules_to_save"):
        before, now = (_as_set(config.get(name)) for config in (saved, ours))
        if before != now:
            option = name if name.startswith("lora_") else f"lora_{name}"
            raise LiftError(
                f"the checkpoint {checkpoint} was trained with {option} {_shown(before)}, not {_shown(now)}: resume "
                "with the same."
            )


def _check_loaded(adapted: Any, folder: str | Path) -> None:
    """Check that every weight of an adapter was in its folder: peft warns, and leaves the others as if untrained.

    Raises:
        LiftError: one was not.
    """
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    with safe_open(Path(folder) / ADAPTER_WEIGHTS, framework="pt") as weights:
        saved = set(weights.keys())
    missing = sorted(get_peft_model_state_dict(adapted, save_embedding_layers=False).keys() - saved)
    if missing:
        raise LiftError(
            f"the adapter {folder} does not fit its base model: {ADAPTER_WEIGHTS} lacks {missing[0]}"
            + (f" and {len(missing) - 1:,} more" if len(missing) > 1 else "")
            + ". Save it again by save_pretrained of the model that was trained, or name the base it belongs to."
        )


def _adapter_config(folder: str | Path) -> dict[str, Any]:
    path = Path(folder) / ADAPTER_CONFIG
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise LiftError(f"{path} cannot be read: {' '.join(str(error).split())}") from None


def _as_set(value: Any) -> Any:
    return frozenset(value) if isinstance(value, (list, set, tuple)) else value


def _shown(value: Any) -> str:
    return ", ".join(sorted(value)) if isinstance(value, frozenset) else str(value)
