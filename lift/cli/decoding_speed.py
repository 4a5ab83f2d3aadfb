"""What a run of `lift sample` wrote, in how many forwards and seconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass
class DecodingSpeed:
    """Counts of one process, or of several."""

    answers: int = 0
    tokens: int = 0
    """Up to each answer's end, which is counted."""
    steps: int = 0
    """Forwards that each answer took, added up."""
    calls: int = 0
    """Calls of the model, which serve a batch each."""
    seconds: float = 0.0

    def sentence(self) -> str:
        """Say it in a line."""
        seconds = max(self.seconds, 1e-9)
        plural = "" if self.answers == 1 else "s"
        return (
            f"{self.answers:,} answer{plural}, {self.tokens:,} tokens in {self.seconds:.1f} s: "
            f"{self.tokens / seconds:,.1f} tokens/s, {self.tokens / max(self.steps, 1):.2f} tokens a forward, "
            f"{self.calls / seconds:,.1f} forwards/s"
        )


def together(parts: Iterable[DecodingSpeed]) -> DecodingSpeed:
    """Return the counts of processes that ran side by side."""
    parts = list(parts)
    return DecodingSpeed(
        answers=sum(part.answers for part in parts),
        tokens=sum(part.tokens for part in parts),
        steps=sum(part.steps for part in parts),
        calls=sum(part.calls for part in parts),
        seconds=max(part.seconds for part in parts),
    )
