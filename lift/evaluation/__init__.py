"""A masked diffusion model in lm-evaluation-harness: answers, likelihoods, and where a killed run went on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lift.lazy_face import lazy_face

if TYPE_CHECKING:
    from lift.evaluation.language_model import LiftLM
    from lift.evaluation.likelihood import plan_masks
    from lift.evaluation.log_likelihood import LogLikelihood
    from lift.evaluation.registration import register_model

__all__ = [
    "LiftLM",
    "LogLikelihood",
    "plan_masks",
    "register_model",
]

__getattr__, __dir__ = lazy_face(__name__, __file__)
