"""From masks to text: which tokens are committed, in which order, how many at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lift.lazy_face import lazy_face

if TYPE_CHECKING:
    from lift.sampling.config import SamplingConfig
    from lift.sampling.presets import PRESETS, preset
    from lift.sampling.sampler import Generation, generate

__all__ = [
    "PRESETS",
    "Generation",
    "SamplingConfig",
    "generate",
    "preset",
]

__getattr__, __dir__ = lazy_face(__name__, __file__)
