"""What PROTOCOL.md predicts, before any run."""

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


def _of(
    setting: str, outcome: str, method: str, against: str, verdict: str, explored: str, confidence: int,
    is_primary: bool = False,
) -> Prediction:  # fmt: skip
    return Prediction(Comparison(setting, outcome, method, against), verdict, explored, confidence, is_primary)


PREDICTIONS = (
    _of("fsa", "answers", "lift3", "sft_x1.22", "better", "+4.5", 65, is_primary=True),
    _of("fsa", "answers", "hard", "sft_x1.34", "better", "+4.6", 80, is_primary=True),
    _of("fsa", "answers", "lift3", "sft", "better", "+7.7", 85),
    _of("fsa", "answers", "hard", "sft", "better", "+9.5", 90),
    _of("fsa", "answers", "lift2", "sft", "better", "+6.1", 75),
    _of("fsa", "answers", "lift3", "reversed", "better", "+9.0", 85),
    _of("fsa", "answers", "middle", "sft", "alike", "", 70),
    _of("fsa", "answers@8", "lift3", "sft_x1.22", "alike", "+0.8", 60),
    _of("fsa", "answers@8", "hard", "sft_x1.34", "worse", "-2.9", 60),
    _of("fsa", "answers@4", "lift3", "sft", "alike", "", 85),
    _of("fsa", "answers@4", "hard", "sft", "alike", "", 85),
    _of("fsa", "responses", "lift3", "sft_x1.22", "better", "", 60),
    _of("fsa", "responses", "hard", "sft_x1.34", "better", "", 75),
    _of("fsa", "nll", "lift3", "sft", "worse", "+0.005", 85),
    _of("fsa", "nll", "hard", "sft", "worse", "+0.010", 95),
    _of("fsa", "kept", "lift3", "sft_x1.22", "alike", "", 60),
    _of("fsa", "kept", "hard", "sft_x1.34", "alike", "", 55),
    _of("depth", "answers", "lift3", "sft", "better", "", 60),
    _of("depth", "answers", "hard", "sft", "better", "", 65),
    _of("sort6", "answers", "lift3", "sft", "alike", "-1.4", 70),
    _of("sort6", "answers", "hard", "sft", "alike", "+1.3", 65),
    _of("sort6", "answers", "lift3", "reversed", "alike", "", 70),
    _of("sort6", "answers", "gift", "sft", "better", "+2.0", 50),
    _of("sort6_short", "answers", "lift3", "sft", "worse", "-16", 60),
    _of("sort6_short", "answers", "lift3", "sft_x1.22", "worse", "-35", 85),
    _of("sort6_short", "answers", "hard", "sft_x1.34", "worse", "", 65),
)
