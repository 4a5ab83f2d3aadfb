"""The picture of `lift compare`."""

from __future__ import annotations

import pytest

from lift.cli.compared_runs import Pair
from lift.cli.comparison_plot import draw_comparison
from lift.errors import LiftError
from lift.statistics import bootstrap_interval, compare_scores, wilson_interval

FIRST = {"score": [1.0, 0.0, 0.0, 0.0], "cells": [0.5, 0.25, 0.0, 0.25]}


def pairs(run, **metrics):
    return [
        Pair("task", name, run, FIRST[name], values, compare_scores(FIRST[name], values))
        for name, values in metrics.items()
    ]


def ends(bar):
    return (bar.lines[2][0].get_segments()[0][:, 0] / 100).tolist()


def test_every_run_has_its_score_and_its_difference_with_intervals(tmp_path, drawn):
    found = [
        *pairs("second", score=[1.0, 1.0, 0.0, 0.0], cells=[0.5, 0.5, 0.5, 0.5]),
        *pairs("third", score=[1.0, 1.0, 1.0, 1.0]),
    ]
    draw_comparison(found, "first", tmp_path / "compared.pdf")
    left, right = drawn[0].axes
    points = [[bar.lines[0].get_xdata()[0] for bar in axes.containers] for axes in (left, right)]
    assert points == [[25, 50, 100, 25, 50], [25, 75, 25]]
    assert ends(left.containers[1]) == pytest.approx(wilson_interval(2, 4))
    assert ends(left.containers[3]) == pytest.approx(bootstrap_interval(FIRST["cells"]))
    assert ends(right.containers[0]) == pytest.approx(found[0].found.interval)
    heights = [bar.lines[0].get_ydata()[0] for bar in left.containers]
    assert len(set(heights)) == 5 and heights == sorted(heights)
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == ["first", "second", "third"]
    assert [text.get_text() for text in left.get_yticklabels()] == ["task\nscore, n = 4", "task\ncells, n = 4"]


def test_nothing_to_draw_is_one_sentence(tmp_path):
    with pytest.raises(LiftError, match="no metric of these runs is a share"):
        draw_comparison([], "first", tmp_path / "compared.png")
