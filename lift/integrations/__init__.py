"""LIFT inside other people's trainers. A name needs its library: TRL for LiftSFTTrainer, dLLM beside the mixins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lift.lazy_face import lazy_face

if TYPE_CHECKING:
    from lift.integrations.dllm import LiftBD3LMMixin, LiftMDLMMixin
    from lift.integrations.labelled_rows import LabelledRowsCollator
    from lift.integrations.loss_function import LiftLoss
    from lift.integrations.trl import LiftSFTConfig, LiftSFTTrainer

__all__ = ["LabelledRowsCollator", "LiftBD3LMMixin", "LiftLoss", "LiftMDLMMixin", "LiftSFTConfig", "LiftSFTTrainer"]

__getattr__, __dir__ = lazy_face(__name__, __file__)
