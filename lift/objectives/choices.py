"""The values that each choice of the algorithm takes, as types and as tuples."""

from __future__ import annotations

from typing import Literal, get_args

ModePolicy = Literal["time", "random"]
ModeScope = Literal["row", "batch"]
Learnability = Literal["hard", "soft"]
ScoreSourceName = Literal["model", "cache", "frequency"]  # "model" is the scoring forward itself: exact
TimeDistribution = Literal["uniform", "discrete", "fixed", "low_discrepancy", "antithetic"]
Normalizer = Literal["token", "sequence", "batch", "micro_batch", "trained"]
EvaluationGrid = Literal["midpoints", "linspace"]

MODE_POLICIES: tuple[ModePolicy, ...] = get_args(ModePolicy)
MODE_SCOPES: tuple[ModeScope, ...] = get_args(ModeScope)
SCORE_SOURCES: tuple[ScoreSourceName, ...] = get_args(ScoreSourceName)
TIME_DISTRIBUTIONS: tuple[TimeDistribution, ...] = get_args(TimeDistribution)
NORMALIZERS: tuple[Normalizer, ...] = get_args(Normalizer)
EVALUATION_GRIDS: tuple[EvaluationGrid, ...] = get_args(EvaluationGrid)
