"""`ExtraAnswer`: what lm-eval asks for beyond the copies of a document, so that all processes have as much to do."""

from __future__ import annotations

from collections.abc import Sequence


class ExtraAnswer(str):
    """An answer that nobody wants: lm-eval appends it to those of the last document."""


def without_extra(answers: Sequence[str]) -> list[str]:
    """Return the answers that were wanted."""
    return [answer for answer in answers if not isinstance(answer, ExtraAnswer)]
