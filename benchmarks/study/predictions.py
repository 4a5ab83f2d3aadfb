"""What PROTOCOL.md predicts of its own tasks, before any run."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.study.comparisons import Comparison


@dataclass(frozen=True)
class Prediction:
    """A comparison and what is expected of it."""

    comparison: Comparison
    verdict: str
    """better, worse or alike."""

    explored: str = ""
    """The difference that the exploration found, if any."""

    confidence: int = 50
    """Per cent."""

    is_primary: bool = False


def prediction(
    setting: str, outcome: str, method: str, against: str, verdict: str, explored: str, confidence: int,
    is_primary: bool = False,
) -> Prediction:  # fmt: skip
    """Return a prediction of a comparison, its fields in the order of PROTOCOL.md's table."""
    return Prediction(Comparison(setting, outcome, method, against), verdict, explored, confidence, is_primary)


PREDICTIONS = (
    prediction("fsa", "answers", "lift3", "sft_x1.22", "better", "+4.5", 65, is_primary=True),
    prediction("fsa", "answers", "hard", "sft_x1.34", "better", "+4.6", 80, is_primary=True),
    prediction("fsa", "answers", "lift3", "sft", "better", "+7.7", 85),
    prediction("fsa", "answers", "hard", "sft", "better", "+9.5", 90),
    prediction("fsa", "answers", "lift2", "sft", "better", "+6.1", 75),
    prediction("fsa", "answers", "lift3", "reversed", "better", "+9.0", 85),
    prediction("fsa", "answers", "middle", "sft", "alike", "", 70),
    prediction("fsa", "answers@8", "lift3", "sft_x1.22", "alike", "+0.8", 60),
    prediction("fsa", "answers@8", "hard", "sft_x1.34", "worse", "-2.9", 60),
    prediction("fsa", "answers@4", "lift3", "sft", "alike", "", 85),
    prediction("fsa", "answers@4", "hard", "sft", "alike", "", 85),
    prediction("fsa", "responses", "lift3", "sft_x1.22", "better", "", 60),
    prediction("fsa", "responses", "hard", "sft_x1.34", "better", "", 75),
    prediction("fsa", "nll", "lift3", "sft", "worse", "+0.005", 85),
    prediction("fsa", "nll", "hard", "sft", "worse", "+0.010", 95),
    prediction("fsa", "kept", "lift3", "sft_x1.22", "alike", "", 60),
    prediction("fsa", "kept", "hard", "sft_x1.34", "alike", "", 55),
    prediction("depth", "answers", "lift3", "sft", "better", "", 60),
    prediction("depth", "answers", "hard", "sft", "better", "", 65),
    prediction("sort6", "answers", "lift3", "sft", "alike", "-1.4", 70),
    prediction("sort6", "answers", "hard", "sft", "alike", "+1.3", 65),
    prediction("sort6", "answers", "lift3", "reversed", "alike", "", 70),
    prediction("sort6", "answers", "gift", "sft", "better", "+2.0", 50),
    prediction("sort6_short", "answers", "lift3", "sft", "worse", "-16", 60),
    prediction("sort6_short", "answers", "lift3", "sft_x1.22", "worse", "-35", 85),
    prediction("sort6_short", "answers", "hard", "sft_x1.34", "worse", "", 65),
)
