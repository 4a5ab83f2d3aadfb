"""`lift doctor`: what this machine has, for a bug report or a first look."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import lift_kernels
from lift.errors import LiftError
from lift.recipes import ACCELERATE

_PACKAGES = (
    "transformers",
    "accelerate",
    "datasets",
    "safetensors",
    "einops",
    "matplotlib",
    "peft",
    "deepspeed",
    "lm-eval",
)


def run(arguments: Sequence[str]) -> None:
    """Print versions, backends and where the configurations for accelerate lie; take no arguments."""
    if list(arguments) in (["-h"], ["--help"]):
        print("usage: lift doctor\n\nPrint versions, and which backend each device gets and why.")
        return
    if arguments:
        raise LiftError(f"doctor takes no arguments, got {' '.join(arguments)!r}.")
    print(f"lift-kernels {lift_kernels.__version__}, Python {platform.python_version()}, {platform.platform()}")
    print(lift_kernels.backend_report())
    print(", ".join(f"{name} {_version(name)}" for name in _PACKAGES))
    print(f"configurations for accelerate launch --config_file: {ACCELERATE}")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
