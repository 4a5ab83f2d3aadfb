"""What is drawn is what was measured: means over seeds at steps that all have, intervals, and nothing in between."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lift.cli.comparison.outcomes import Point
from lift.cli.comparison.picture import arm_styles, draw_methods, mean_points
from lift.cli.comparison.results import read_results
from tests.lift.cli.comparison.support import SOLVED, finished_plan


def drawn_arms(axes) -> dict[str, object]:
    return {bar.get_label(): bar for bar in axes.containers}


def test_outcomes_are_drawn_against_steps_and_seconds_with_intervals(tmp_path, drawn):
    plan = finished_plan(tmp_path)
    draw_methods(plan, read_results(plan), tmp_path / "comparison.png", ["svg", "png"])
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "comparison.svg", "comparison.png"}
    (solved, solved_in_time, loss, loss_in_time) = drawn[0].axes
    assert (loss.get_xlabel(), loss_in_time.get_xlabel()) == ("Optimiser step", "Seconds of training")
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == ["sft", "lift3", "sft x1.22"]
    assert not any(axes.get_title("left") for axes in drawn[0].axes)
    for axes, values in (
        (solved, {arm: 100 * np.array(seeds) for arm, seeds in SOLVED.items()}),
        (loss, {arm: 1 - np.array(seeds) for arm, seeds in SOLVED.items()}),
    ):
        for arm, bar in drawn_arms(axes).items():
            (segment,) = bar.lines[2][0].get_segments()
            truth = stats.t.interval(0.95, 2, values[arm].mean(), stats.sem(values[arm]))
            np.testing.assert_allclose(segment[:, 1], truth)
    # The puzzles are solved before and after training alone: no line joins the two. Points of one step stand apart.
    assert all(len(line.get_xdata()) == 1 for line in solved.lines)
    places = {arm: bar.lines[0].get_xdata()[0] for arm, bar in drawn_arms(solved).items()}
    assert places["sft"] == 100 and 100 < places["lift3"] < 103 and places["sft x1.22"] == 122
    assert max(len(line.get_xdata()) for line in loss.lines) == 3
    assert drawn_arms(solved_in_time)["sft x1.22"].lines[0].get_xdata()[0] == pytest.approx(2.44)


def test_the_mean_is_over_steps_that_all_runs_have():
    runs = [[Point(0, 0, 2), Point(5, 1, 1), Point(9, 2, 0.5)], [Point(0, 0, 4), Point(9, 4, 1.5)]]
    assert mean_points(runs) == [Point(0, 0, 3), Point(9, 3, 1)] and mean_points([]) == []


def test_longer_runs_of_the_first_method_have_its_colour_and_broken_lines(tmp_path):
    styles = arm_styles(finished_plan(tmp_path))
    assert styles["sft x1.22"].colour == styles["sft"].colour != styles["lift3"].colour
    assert (styles["sft"].line, styles["lift3"].line, styles["sft x1.22"].line) == ("-", "-", "--")
