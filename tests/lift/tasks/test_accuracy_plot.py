"""The bars, their labels, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.container import BarContainer
from matplotlib.image import imread

from lift.errors import LiftError
from lift.report.figure import BLUE, GREY
from lift.statistics import wilson_interval
from lift.tasks import accuracy_plot
from lift.tasks.accuracy_plot import accuracy_by_difficulty

WORDS = {"title": "Solved", "levels_label": "Blank cells", "solved_label": "Valid grids"}


def test_accuracy_is_drawn_before_and_after(tmp_path, drawn):
    accuracy_by_difficulty({4: (1, 50), 8: (0, 40)}, {4: (50, 50), 8: (1999, 2000)}, tmp_path / "accuracy.png", **WORDS)
    (axes,) = drawn[0].axes
    before, after = [container for container in axes.containers if isinstance(container, BarContainer)]
    assert [bar.get_height() for bar in before] == [2, 0]
    assert [bar.get_height() for bar in after] == [100, 99.95]
    # Nothing but a full score reads as 100.
    assert [text.get_text() for text in axes.texts] == ["2", "0", "100", "99.9"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["4\nn = 50", "8\nn = 2000"]
    assert axes.get_ylabel() == "Valid grids (%)" and axes.get_xlabel() == "Blank cells"


def test_every_accuracy_has_its_interval(tmp_path, drawn):
    counts = {"before": {4: (1, 50), 8: (0, 40)}, "after": {4: (50, 50), 8: (1999, 2000)}}
    accuracy_by_difficulty(*counts.values(), tmp_path / "accuracy.png", subtitle="run", formats=["png", "svg"], **WORDS)
    bars = [container for container in drawn[0].axes[0].containers if isinstance(container, BarContainer)]
    for container, levels in zip(bars, counts.values(), strict=True):
        (lines,) = container.errorbar.lines[2]
        for segment, (solved, total) in zip(lines.get_segments(), levels.values(), strict=True):
            np.testing.assert_allclose(segment[:, 1], np.multiply(100, wilson_interval(solved, total)), atol=1e-9)
    assert {path.name for path in tmp_path.iterdir()} == {"accuracy.png", "accuracy.svg"}
    assert "run" in [text.get_text() for text in drawn[0].axes[0].texts]


def test_accuracy_without_a_before_is_drawn(tmp_path, drawn):
    accuracy_by_difficulty({}, {4: (1, 2)}, tmp_path / "accuracy.png", **WORDS)
    assert [text.get_text() for text in drawn[0].axes[0].get_legend().get_texts()] == ["after training"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.04, "0.1"), (0.5, "0.5"), (3.2, "3"), (95.06, "95.1"), (99.96, "99.9"), (100, "100")],
)
def test_only_none_and_all_read_as_0_and_100(value, text):
    assert accuracy_plot._percent(value) == text


def test_the_picture_holds_the_colours_and_replaces_the_old_one(tmp_path):
    path = tmp_path / "new folder" / "accuracy.png"
    for _ in range(2):
        accuracy_by_difficulty({4: (1, 2)}, {4: (2, 2)}, path, **WORDS)
    pixels = imread(path)[..., :3]
    assert pixels.shape[1] == 1200
    for colour in (BLUE, GREY):
        assert (abs(pixels - np.array(to_rgb(colour))).max(-1) < 0.01).mean() > 0.02
    assert list(path.parent.iterdir()) == [path]
    # Readable by whoever may read other files made here: a temporary file is often its owner's alone.
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("counts", [{4: (3, 2)}, {4: (-1, 2)}, {4: (0, 0)}])
def test_counts_that_do_not_fit_are_refused(tmp_path, counts):
    for before, after, name in ((counts, {4: (1, 1)}, "before"), ({}, counts, "after")):
        with pytest.raises(LiftError, match=rf"{name}\[4\] must be \(solved, n\)"):
            accuracy_by_difficulty(before, after, tmp_path / "accuracy.png", **WORDS)
    with pytest.raises(LiftError, match="after must hold at least one"):
        accuracy_by_difficulty({4: (1, 1)}, {}, tmp_path / "accuracy.png", **WORDS)
    assert not list(tmp_path.iterdir())
