"""Learnability without a second forward: how easy each token is, from memory or from its frequency."""

from __future__ import annotations

from lift.score_sources.cache import ScoreCache
from lift.score_sources.frequency import TokenFrequency
from lift.score_sources.source import SCORE_SOURCES, ScoreSource

__all__ = ["SCORE_SOURCES", "ScoreCache", "ScoreSource", "TokenFrequency"]
