"""How easy each token is for the model now: from a forward without gradient, from memory, or from its frequency."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lift.lazy_face import lazy_face

if TYPE_CHECKING:
    from lift.learnability.cache import ScoreCache
    from lift.learnability.frequency import TokenFrequency
    from lift.learnability.scoring import score_rows
    from lift.learnability.source import ScoreSource

__all__ = [
    "ScoreCache",
    "ScoreSource",
    "TokenFrequency",
    "score_rows",
]

__getattr__, __dir__ = lazy_face(__name__, __file__)
