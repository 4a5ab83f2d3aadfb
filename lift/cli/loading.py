"""The model and the tokenizer that the flags name."""

from __future__ import annotations

import json
from typing import Any

import torch

from lift import model_loading
from lift.cli.arguments import ModelArguments
from lift.errors import LiftError

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_tokenizer(arguments: ModelArguments) -> Any:
    """Return the tokenizer of the model, or the one named.

    Raises:
        LiftError: neither is named, or nothing can be loaded from there.
    """
    name = arguments.tokenizer_name_or_path or arguments.model_name_or_path
    if name is None:
        raise LiftError("no tokenizer: pass --model_name_or_path or --tokenizer_name_or_path.")
    return model_loading.load_tokenizer(name, trust_remote_code=arguments.trust_remote_code)


def load_config(arguments: ModelArguments, tokenizer: Any) -> Any:
    """Return the configuration of the model that `build_model` would return, with the same errors."""
    _check(arguments)
    if arguments.model_name_or_path is None:
        return model_loading.new_config(_mapping(arguments), tokenizer)
    return model_loading.load_config(arguments.model_name_or_path, trust_remote_code=arguments.trust_remote_code)


def build_model(arguments: ModelArguments, tokenizer: Any, *, seed: int) -> Any:
    """Return a masked language model: pretrained, or new from `model_config` with weights drawn from `seed`.

    Raises:
        LiftError: neither or both are given, or the model cannot be loaded.
    """
    from transformers import set_seed

    _check(arguments)
    dtype = _DTYPES[arguments.dtype]
    set_seed(seed)
    if arguments.model_name_or_path is None:
        return model_loading.new_model(_mapping(arguments), tokenizer, dtype=dtype)
    return model_loading.load_model(
        arguments.model_name_or_path, dtype=dtype, trust_remote_code=arguments.trust_remote_code
    )


def _check(arguments: ModelArguments) -> None:
    if (arguments.model_name_or_path is None) == (arguments.model_config is None):
        raise LiftError("pass either --model_name_or_path or --model_config, and only one of them.")
    if arguments.dtype not in _DTYPES:
        raise LiftError(f"dtype must be one of {', '.join(_DTYPES)}, got {arguments.dtype!r}.")


def _mapping(arguments: ModelArguments) -> dict[str, Any]:
    try:
        mapping = json.loads(str(arguments.model_config))
    except json.JSONDecodeError:
        mapping = None
    if not isinstance(mapping, dict):
        raise LiftError(f"model_config must be a mapping with model_type, got {arguments.model_config!r}.")
    return mapping
