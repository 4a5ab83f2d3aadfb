"""What the flags of a run ask for beside model and data: packages, configuration files, the Hub. Imports no torch."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lift.cli.json_mapping import parse_mapping
from lift.cli.settings import read_text
from lift.errors import LiftError

# Name of the reporter -> module that it imports, and what pip calls it.
_REPORTERS = {
    "azure_ml": ("azureml", "azureml-sdk"),
    "clearml": ("clearml", "clearml"),
    "codecarbon": ("codecarbon", "codecarbon"),
    "comet_ml": ("comet_ml", "comet-ml"),
    "dagshub": ("dagshub", "dagshub mlflow"),
    "dvclive": ("dvclive", "dvclive"),
    "flyte": ("flytekit", "flytekit"),
    "kubeflow": ("", ""),
    "mlflow": ("mlflow", "mlflow"),
    "neptune": ("neptune", "neptune"),
    "swanlab": ("swanlab", "swanlab"),
    "tensorboard": ("tensorboard", "tensorboard"),
    "trackio": ("trackio", "trackio"),
    "wandb": ("wandb", "wandb"),
}
# Pattern of the optimiser's name -> the same; the first that fits counts.
_OPTIMISERS = {
    "adamw_torch_[48]bit": ("torchao", "torchao"),
    "adamw_torch_xla": ("torch_xla", "torch_xla"),
    "adamw_torch_npu_fused": ("torch_npu", "torch_npu"),
    "adamw_apex_fused": ("apex", "from https://github.com/NVIDIA/apex"),
    "adamw_anyprecision": ("torchdistx", "from https://github.com/pytorch/torchdistx"),
    "galore_*": ("galore_torch", "galore-torch"),
    "apollo_*": ("apollo_torch", "apollo-torch"),
    "*lomo": ("lomo_optim", "lomo-optim"),
    "grokadamw": ("grokadamw", "grokadamw"),
    "schedule_free_*": ("schedulefree", "schedulefree"),
    "stable_adamw": ("optimi", "torch-optimi"),
    "*_bnb*": ("bitsandbytes", "bitsandbytes"),
    "*_8bit": ("bitsandbytes", "bitsandbytes"),
    "*_32bit": ("bitsandbytes", "bitsandbytes"),
    "ademamix": ("bitsandbytes", "bitsandbytes"),
}
_NEED_TARGET_MODULES = ("galore_*", "apollo_*")
_MAPPINGS = (
    "lr_scheduler_kwargs", "activation_checkpointing_kwargs", "gradient_checkpointing_kwargs", "liger_kernel_config",
)  # fmt: skip
_MAPPINGS_OR_FILES = ("accelerator_config", "deepspeed", "fsdp_config")


def check_requirements(values: Mapping[str, Any]) -> None:
    """Check what the fields of `LiftConfig` refer to; `values` may lack some, or hold a word as a list of one.

    Raises:
        LiftError: a package is not installed, a configuration file is not there or holds no JSON mapping, or the Hub
            cannot be pushed to; the sentence names the flag.
    """
    for reporter in _words(values.get("report_to")):
        _check_reporter(reporter)
    for optimiser in _words(values.get("optim")):
        _check_optimiser(optimiser, values.get("optim_target_modules"))
    if values.get("deepspeed"):
        _require("deepspeed", "deepspeed", "deepspeed")
    if values.get("eval_tasks"):
        _require("eval_tasks", "lm_eval", "'lift-kernels[eval]'")
    if values.get("use_liger_kernel"):
        _require("use_liger_kernel", "liger_kernel", "liger-kernel")
    for name in _MAPPINGS:
        if isinstance(value := values.get(name), str):
            parse_mapping(name, value)
    for name in _MAPPINGS_OR_FILES:
        if isinstance(value := values.get(name), str):
            _check_file(name, value)
    if values.get("push_to_hub"):
        _check_hub(values.get("hub_token"))


def _words(value: Any) -> Iterator[str]:
    """Yield the words of a flag: it takes one or several, and may hold members of an Enum."""
    for word in value if isinstance(value, (list, tuple)) else [] if value is None else [value]:
        yield str(getattr(word, "value", word))


def _require(feature: str, module: str, package: str) -> None:
    if find_spec(module) is None:
        install = f"install it {package}" if package.startswith("from ") else f"pip install {package}"
        raise LiftError(f"{feature} needs {module}, which is not installed: {install}.")


def _check_reporter(name: str) -> None:
    if name in ("all", "none"):
        return
    if name not in _REPORTERS:
        raise LiftError(f"report_to must be one of {', '.join(_REPORTERS)}, all or none, got {name!r}.")
    module, package = _REPORTERS[name]
    if name == "tensorboard" and find_spec("tensorboardX") is not None:
        return
    if module:
        _require(f"report_to={name}", module, package)


def _check_optimiser(name: str, target_modules: Any) -> None:
    found = next((pattern for pattern in _OPTIMISERS if fnmatch.fnmatchcase(name, pattern)), None)
    if found is None:
        return
    _require(f"optim={name}", *_OPTIMISERS[found])
    if found in _NEED_TARGET_MODULES and not target_modules:
        raise LiftError(f"optim={name} needs the names of the layers it works on: pass --optim_target_modules.")


def _check_file(name: str, value: str) -> None:
    if value.lstrip().startswith("{"):
        parse_mapping(name, value)
        return
    path = Path(value)
    if not path.is_file():
        raise LiftError(f"{name}: no file at {value}: check the path, or pass a mapping, JSON on the command line.")
    parse_mapping(f"{name}: {value}", read_text(path, f"{name}: {value}"), "a file of one JSON mapping")


def _check_hub(token: str | None) -> None:
    from huggingface_hub import constants, get_token

    if constants.HF_HUB_OFFLINE:
        raise LiftError("push_to_hub needs the Hub, and HF_HUB_OFFLINE says not to use it: unset it, or push later.")
    if not (token or get_token()):
        raise LiftError("push_to_hub needs a token of the Hub: run hf auth login, set HF_TOKEN, or pass --hub_token.")
