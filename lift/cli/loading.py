"""The model and the tokenizer that the flags name."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from lift.cli.arguments import ModelArguments
from lift.cli.json_mapping import parse_mapping
from lift.errors import LiftError
from lift.models import loading
from lift.models.lora import base_of_adapter, four_bit_config, generation_config_of, is_adapter, load_adapter


def load_tokenizer(arguments: ModelArguments) -> Any:
    """Return the tokenizer of the model, or the one named.

    Raises:
        LiftError: neither is named, or nothing can be loaded from there.
    """
    name = arguments.tokenizer_name_or_path or arguments.model_name_or_path
    if name is None:
        raise LiftError("no tokenizer: pass --model_name_or_path or --tokenizer_name_or_path.")
    return loading.load_tokenizer(name, trust_remote_code=arguments.trust_remote_code)


def load_config(arguments: ModelArguments, tokenizer: Any) -> Any:
    """Return the configuration of the model that `build_model` would return, with the same errors."""
    arguments.check_model()
    name = arguments.model_name_or_path
    if name is None:
        return loading.new_config(_mapping(arguments), tokenizer)
    name = base_of_adapter(name) if is_adapter(name) else name
    return loading.load_config(name, trust_remote_code=arguments.trust_remote_code)


def load_generation_config(arguments: ModelArguments) -> Any:
    """Return the generation configuration that lies with the model, or with an adapter's base; None without one."""
    return generation_config_of(str(arguments.model_name_or_path))


def keep_generation_config(arguments: ModelArguments, folder: Path) -> None:
    """Write the model's generation configuration, if it has one, into the folder of a run.

    It names end tokens, and transformers saves masked language models without it.
    """
    found = None if arguments.model_name_or_path is None else load_generation_config(arguments)
    if found is not None:
        found.save_pretrained(folder)


def build_model(arguments: ModelArguments, tokenizer: Any, *, seed: int) -> Any:
    """Return a masked language model: pretrained, or new from `model_config` with weights drawn from `seed`.

    An adapter's folder gives its base model with the adapter in it, frozen.

    Raises:
        LiftError: neither or both are given, or the model cannot be loaded.
    """
    from transformers import set_seed

    arguments.check_model()
    name, trust = arguments.model_name_or_path, arguments.trust_remote_code
    set_seed(seed)
    dtype = loading.DTYPES[arguments.dtype]
    if name is None:
        return loading.new_model(_mapping(arguments), tokenizer, dtype=dtype)
    if is_adapter(name):
        base = dataclasses.replace(arguments, model_name_or_path=base_of_adapter(name))
        return load_adapter(build_model(base, tokenizer, seed=seed), name)
    options = {}
    if arguments.load_in_4bit:
        skeleton = loading.load_skeleton(name, trust_remote_code=trust)
        options["quantization_config"] = four_bit_config(skeleton)
    return loading.load_model(name, dtype=dtype, trust_remote_code=trust, **options)


def _mapping(arguments: ModelArguments) -> dict[str, Any]:
    return parse_mapping("model_config", str(arguments.model_config), "a mapping with model_type")
