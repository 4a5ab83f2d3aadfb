"""What a model knows of masked tokens, by mask ratio and by frequency: a table of every one, and reports from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lift.lazy_face import lazy_face

if TYPE_CHECKING:
    from lift.analysis.page import write_report
    from lift.analysis.run import analyze
    from lift.analysis.table import AnalysisTable

__all__ = [
    "AnalysisTable",
    "analyze",
    "write_report",
]

__getattr__, __dir__ = lazy_face(__name__, __file__)
