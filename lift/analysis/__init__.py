"""What a model knows of masked tokens: a table of every one, and reports from it; and how to draw its times best."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lift.lazy_face import lazy_face

if TYPE_CHECKING:
    from lift.analysis.page import write_report
    from lift.analysis.run import analyze
    from lift.analysis.table import AnalysisTable
    from lift.analysis.time_density import MeasuredTimes, measure_times

__all__ = [
    "AnalysisTable",
    "MeasuredTimes",
    "analyze",
    "measure_times",
    "write_report",
]

__getattr__, __dir__ = lazy_face(__name__, __file__)
