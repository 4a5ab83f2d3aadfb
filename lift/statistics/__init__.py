"""What a score is worth: pass@k, intervals of shares and means, and whether two runs on the same problems differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lift.lazy_face import lazy_face

if TYPE_CHECKING:
    from lift.statistics.clustered import ClusteredMeans
    from lift.statistics.comparison import Comparison, compare_accuracies, compare_scores, mcnemar_p_value
    from lift.statistics.intervals import Interval, bootstrap_interval, wilson_interval
    from lift.statistics.paired import PairedDifference, paired_difference, t_quantile
    from lift.statistics.repeated_samples import mean_pass_at_k, pass_at_k

__all__ = [
    "ClusteredMeans",
    "Comparison",
    "Interval",
    "PairedDifference",
    "bootstrap_interval",
    "compare_accuracies",
    "compare_scores",
    "mcnemar_p_value",
    "mean_pass_at_k",
    "paired_difference",
    "pass_at_k",
    "t_quantile",
    "wilson_interval",
]

__getattr__, __dir__ = lazy_face(__name__, __file__)
