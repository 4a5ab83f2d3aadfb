"""From a masked response to text: which tokens are committed, in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lift.lazy_face import lazy_face

if TYPE_CHECKING:
    from lift.sampling.sampler import generate

__all__ = [
    "generate",
]

__getattr__, __dir__ = lazy_face(__name__, __file__)
