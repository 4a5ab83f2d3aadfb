"""What the figure and the table of variances show."""

from __future__ import annotations

import numpy as np

from lift.analysis import GradientVariance, VarianceRecord
from lift.analysis.variance import PARTS
from lift.analysis.variance_figure import HEADER, LETTERS, variance_drawing, variance_rows
from tests.lift.support.gradient_variance import SETTINGS, record_of


def test_points_are_the_parts_over_the_variance_of_the_first():
    record = record_of()
    axes = variance_drawing(record).figure.axes[0]
    handles, labels = axes.get_legend_handles_labels()
    assert labels == list(LETTERS.values()) and [label.get_text() for label in axes.get_yticklabels()] == [
        *record.methods
    ]
    base = record.methods["sft"]
    for handle, part in zip(handles, PARTS, strict=True):
        expected = [100 * variance.relative(base, part).value for variance in record.methods.values()]
        np.testing.assert_allclose(handle.lines[0].get_xdata(), expected)
        ends = [segment[:, 0] for segment in handle.lines[2][0].get_segments()]
        intervals = [100 * np.array(variance.relative(base, part).interval) for variance in record.methods.values()]
        np.testing.assert_allclose(ends, intervals)
    lines = [handle.lines[0].get_xdata()[0] for handle in handles]
    np.testing.assert_allclose(sum(lines), 100)


def test_a_row_of_the_table_has_shares_that_add_up_and_says_what_is_not_known():
    first, second = variance_rows(record_of())
    assert len(first) == len(second) == len(HEADER)
    assert first[0] == "sft" and abs(sum(int(cell.split(" %")[0]) for cell in first[1:4]) - 100) <= 1
    assert second[-1] == "not known" and "to" in first[-1]


def test_the_interval_of_a_point_may_lie_beside_its_mean():
    """Of two pairs the percentiles are those of the pairs: no error bar of negative length."""
    moments = [[9.0, 4.0, 3.0, 1.0], [9.0, 4.0, 3.0, 1.0]]
    variance_drawing(VarianceRecord(SETTINGS, {"sft": GradientVariance(moments)}))
