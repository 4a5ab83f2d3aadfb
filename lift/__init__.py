"""Fine-tune masked diffusion language models with LIFT: a thin trainer over transformers and `lift_kernels`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lift.lazy_face import lazy_face

if TYPE_CHECKING:
    from lift.data import MaskedDiffusionCollator, load_rows, pack_dataset, prepare_dataset
    from lift.errors import LiftError
    from lift.models import load_model
    from lift.objectives import METHODS, LiftOptions
    from lift.sampling import SamplingConfig, generate
    from lift.training import LiftConfig, LiftTrainer
    from lift_kernels import __version__

__all__ = [
    "METHODS",
    "LiftConfig",
    "LiftError",
    "LiftOptions",
    "LiftTrainer",
    "MaskedDiffusionCollator",
    "SamplingConfig",
    "__version__",
    "generate",
    "load_model",
    "load_rows",
    "pack_dataset",
    "prepare_dataset",
]

__getattr__, __dir__ = lazy_face(__name__, __file__)
