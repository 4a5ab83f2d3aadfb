"""What the figures draw of a summary."""

from __future__ import annotations

import numpy as np
import pytest

from lift.analysis.figures import drawings, gain_drawings, mode_at
from lift.analysis.summary import gain, summarise
from lift.objectives.forward_process import DISCRETE_TIMES


@pytest.fixture(scope="module")
def figures(table):
    return {drawing.name: drawing for drawing in drawings(summarise(table))}


def lines(axes):
    """The curves by their names in the legend."""
    handles, labels = axes.get_legend_handles_labels()
    return dict(zip(labels, handles, strict=True))


def test_confidence_has_a_curve_with_intervals_for_each_band(figures, table):
    axes = figures["confidence"].figure.axes[0]
    found, groups = lines(axes), summarise(table).groups
    assert list(found) == ["above 10 %", "1 to 10 %"]
    curve = found["above 10 %"].lines[0]
    np.testing.assert_allclose(curve.get_xdata(), DISCRETE_TIMES)
    np.testing.assert_allclose(curve.get_ydata(), groups.means("confidence")[:, 0])
    low, high = (
        np.array([point[1] for point in ends])
        for ends in zip(*found["above 10 %"].lines[2][0].get_segments(), strict=True)
    )
    np.testing.assert_allclose(high - low, 2 * groups.half_widths("confidence")[:, 0], rtol=1e-6)


def test_kept_names_time_and_mode(figures):
    axes = figures["kept"].figure.axes[0]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["1/16\nhard", "1/8\nhard", "1/4\nhard", "1/2\nmiddle", "0.71\neasy"]
    assert [mode_at(t) for t in (0.1, 0.5, 0.9)] == ["hard", "middle", "easy"]


def test_the_heat_map_is_empty_where_nothing_is(figures, table):
    (image,) = figures["frequency"].figure.axes[0].get_images()
    assert np.isnan(image.get_array().filled(np.nan)).any() and image.get_clim()[1] == 0
    assert image.get_array().shape[0] == len(DISCRETE_TIMES)


def test_a_gain_of_nothing_is_drawn(table):
    first, second = gain_drawings(gain(table, table), table.ratios)
    assert not lines(first.figure.axes[0])["above 10 %"].lines[0].get_ydata().any()
    assert second.figure.axes[0].get_images()[0].get_clim() == (-1, 1)


def test_one_ratio_leaves_out_what_lift3_keeps(make_table, tmp_path):
    names = [drawing.name for drawing in drawings(summarise(make_table(tmp_path, ratios=[0.5])))]
    assert names == ["confidence", "gold_probability", "frequency", "calibration"]
