"""The trainer: transformers' own, with LIFT's forward process and loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lift.lazy_face import lazy_face

if TYPE_CHECKING:
    from lift.training.config import LiftConfig
    from lift.training.row_gradient import RowGradient
    from lift.training.trainer import LiftTrainer

__all__ = [
    "LiftConfig",
    "LiftTrainer",
    "RowGradient",
]

__getattr__, __dir__ = lazy_face(__name__, __file__)
