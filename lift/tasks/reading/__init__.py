"""Find the answer in what a model wrote: where its text ends, which block and which box count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lift.lazy_face import lazy_face

if TYPE_CHECKING:
    from lift.tasks.reading.code_block import find_code
    from lift.tasks.reading.final_answer import FinalAnswer, find_answer, find_phrase, plain_text

__all__ = ["FinalAnswer", "find_answer", "find_code", "find_phrase", "plain_text"]

__getattr__, __dir__ = lazy_face(__name__, __file__)
