"""Freeze a model and add LoRA layers to it: which layers get one."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from torch import nn

from lift.errors import LiftError
from lift.models.lora.arguments import ALL_LINEAR, LoraArguments
from lift.models.lora.required import require
from lift.models.transformers_versions import without_renaming_notice

logger = logging.getLogger(__name__)


def add_lora(model: nn.Module, arguments: LoraArguments) -> Any:
    """Freeze `model` and put LoRA layers into it, in place.

    A name in `lora_target_modules` stands for every module whose path is that name or ends with it. Where such a name
    reaches the output head along with other layers (`ff_out` is both in LLaDA), the head is left out; a name that
    reaches the head alone means it.

    Args:
        model: a model of transformers, not yet wrapped; its `get_output_embeddings` names the head.
        arguments: rank, targets and the like.

    Returns: `peft.PeftModel`, whose adapter is float32 where the model is bfloat16 or float16.

    Raises:
        LiftError: peft is missing, a name reaches nothing (the sentence lists the linear layers there are), or a layer
            that shares its weight with another would change.
    """
    require("peft", "use_peft")
    from peft import LoraConfig, get_peft_model

    targets, excluded = _resolve_targets(model, arguments)
    config = LoraConfig(
        r=arguments.lora_r,
        lora_alpha=arguments.lora_alpha,
        lora_dropout=arguments.lora_dropout,
        target_modules=targets,
        exclude_modules=excluded,
        modules_to_save=arguments.lora_modules_to_save,
        bias="none",
        task_type=None,  # CAUSAL_LM asks for prepare_inputs_for_generation, which these models lack
    )
    try:
        with without_renaming_notice():
            wrapped = get_peft_model(model, config)
    except (ValueError, TypeError) as error:
        raise LiftError(f"lora_target_modules: {' '.join(str(error).split())}") from None
    if config.base_model_name_or_path and Path(config.base_model_name_or_path).is_dir():
        # The adapter finds its base from any working directory.
        config.base_model_name_or_path = str(Path(config.base_model_name_or_path).resolve())
    return wrapped


def _resolve_targets(model: nn.Module, arguments: LoraArguments) -> tuple[str | list[str], str | None]:
    """Return peft's target_modules, and the pattern of exclude_modules that keeps the head out."""
    is_all_linear = arguments.lora_target_modules == [ALL_LINEAR]
    targeted = [] if is_all_linear else [_reached(name, model) for name in arguments.lora_target_modules]
    saved = [_reached(name, model) for name in arguments.lora_modules_to_save or ()]
    heads = set(head_names(model))
    adapted = set().union(*targeted)
    by_accident = bool(adapted & heads) and not any(found <= heads for found in targeted)
    if by_accident:
        adapted -= heads
        logger.warning(
            "lora_target_modules reaches the output head %s along with other layers: the head gets no adapter; to give "
            "it one, name it by its whole path.", ", ".join(sorted(heads)),
        )  # fmt: skip
    _check_not_shared(model, adapted.union(*saved))
    keep_out = "|".join(map(re.escape, sorted(heads))) or None
    targets = ALL_LINEAR if is_all_linear else arguments.lora_target_modules
    return targets, keep_out if is_all_linear or by_accident else None


def _reached(target: str, model: nn.Module) -> set[str]:
    """Return the paths of the modules that a name stands for, as peft reads it."""
    found = {name for name, _ in model.named_modules() if name == target or name.endswith(f".{target}")}
    if not found:
        raise LiftError(
            f"no module of {type(model).__name__} is called {target!r}; its linear layers are called "
            f"{', '.join(_linear_names(model))}: use names that there are."
        )
    return found


def parameter_owners(model: nn.Module) -> dict[int, list[str]]:
    """Return the names of the modules that hold each parameter themselves, by the parameter's id."""
    owners: dict[int, list[str]] = {}
    for name, module in model.named_modules():
        for parameter in module.parameters(recurse=False):
            owners.setdefault(id(parameter), []).append(name)
    return owners


def head_names(model: Any) -> list[str]:
    """Return the paths of the output head in `model`; empty where it has none."""
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    return [] if head is None else [name for name, module in model.named_modules() if module is head]


def _linear_names(model: nn.Module) -> list[str]:
    linear = (name for name, module in model.named_modules() if isinstance(module, nn.Linear))
    return list(dict.fromkeys(name.rpartition(".")[2] for name in linear))


def _check_not_shared(model: nn.Module, adapted: set[str]) -> None:
    for shared in parameter_owners(model).values():
        changed = sorted(adapted & set(shared))
        if changed and len(shared) > 1:
            other = next(name for name in shared if name != changed[0])
            raise LiftError(
                f"{changed[0]} shares its weight with {other}, so an adapter cannot change it alone: leave it out of "
                "lora_target_modules and lora_modules_to_save."
            )
