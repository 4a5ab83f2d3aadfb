"""Fine-tune masked diffusion language models with LIFT: a thin trainer over transformers and `lift_kernels`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lift_kernels import __version__

if TYPE_CHECKING:
    from lift.collator import MaskedDiffusionCollator
    from lift.config import LiftConfig
    from lift.data import load_rows, pack_dataset, prepare_dataset
    from lift.errors import LiftError
    from lift.sampler import generate
    from lift.trainer import LiftTrainer

__all__ = [
    "LiftConfig",
    "LiftError",
    "LiftTrainer",
    "MaskedDiffusionCollator",
    "__version__",
    "generate",
    "load_rows",
    "pack_dataset",
    "prepare_dataset",
]

# Imported on first use: the command line's --help and error paths need neither transformers nor datasets.
_MODULES = {
    "LiftConfig": "lift.config",
    "LiftError": "lift.errors",
    "LiftTrainer": "lift.trainer",
    "MaskedDiffusionCollator": "lift.collator",
    "generate": "lift.sampler",
    "load_rows": "lift.data",
    "pack_dataset": "lift.data",
    "prepare_dataset": "lift.data",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'lift' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
