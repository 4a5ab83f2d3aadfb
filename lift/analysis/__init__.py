"""What a model knows of masked tokens, how its gradients vary, reports of both; and how to draw its times best."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lift.lazy_face import lazy_face

if TYPE_CHECKING:
    from lift.analysis.page import write_report
    from lift.analysis.run import analyze
    from lift.analysis.table import AnalysisTable
    from lift.analysis.time_density import MeasuredTimes, measure_times
    from lift.analysis.variance import GradientVariance
    from lift.analysis.variance_record import VarianceRecord
    from lift.analysis.variance_run import choose_pairs, measure_variance

__all__ = [
    "AnalysisTable",
    "GradientVariance",
    "MeasuredTimes",
    "VarianceRecord",
    "analyze",
    "choose_pairs",
    "measure_times",
    "measure_variance",
    "write_report",
]

__getattr__, __dir__ = lazy_face(__name__, __file__)
