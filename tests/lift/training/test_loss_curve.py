from __future__ import annotations

import numpy as np
import pytest

from lift.errors import LiftError
from lift.training.loss_curve import loss_curve


def history(num_points: int, **extra: float) -> list[dict[str, float]]:
    """What a Trainer logs: training entries, an evaluation now and then, and a summary without a loss."""
    entries: list[dict[str, float]] = []
    for step in range(1, num_points + 1):
        entries.append({"loss": 2 / step, "learning_rate": 1e-3, "step": step, **extra})
        if step % 10 == 0:
            entries.append({"eval_loss": 3 / step, "step": step})
    return [*entries, {"train_runtime": 1.0, "train_loss": 0.1, "step": num_points}]


def test_the_loss_curve_shows_what_was_logged(tmp_path, drawn):
    loss_curve(history(20), tmp_path / "loss.png", subtitle="lift3, model, seed 1")
    (axes,) = drawn[0].axes
    training, held_out = axes.lines
    assert training.get_xydata().tolist() == [[step, 2 / step] for step in range(1, 21)]
    assert held_out.get_xydata().tolist() == [[10, 0.3], [20, 0.15]]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["training, loss", "held out, SFT loss"]
    assert (axes.get_title("left"), axes.get_xlabel()) == ("Loss during training", "Optimiser step")
    assert [text.get_text() for text in axes.texts] == ["lift3, model, seed 1"]


def test_one_quantity_is_drawn_whatever_the_method_divides_by_and_from_before_training_on(tmp_path, drawn):
    entries = [{"eval_loss": 3.0, "step": 0}, *history(20, nll=1.5)]
    loss_curve(entries, tmp_path / "loss.png")
    training, held_out = drawn[0].axes[0].lines
    assert training.get_ydata().tolist() == [1.5] * 20 and training.get_label() == "training, NLL"
    assert held_out.get_xydata().tolist() == [[0, 3.0], [10, 0.3], [20, 0.15]]
    left, right = drawn[0].axes[0].get_xlim()
    assert left < 0 and right > 20


@pytest.mark.parametrize(("least", "scale", "floor"), [(0.5, "linear", 0), (0.1, "log", None), (0.0, "linear", 0)])
def test_the_scale_is_logarithmic_where_the_range_asks_for_it(tmp_path, drawn, least, scale, floor):
    loss_curve([{"eval_loss": 3.0, "step": 0}, {"eval_loss": least, "step": 9}], tmp_path / "loss.png")
    (axes,) = drawn[0].axes
    assert axes.get_yscale() == scale and ("log scale" in axes.get_ylabel()) == (scale == "log")
    assert axes.get_ylim()[0] == floor if floor is not None else 0 < axes.get_ylim()[0] < least
    if scale == "log":
        drawn[0].draw_without_rendering()
        assert {"0.1", "0.2", "0.5", "1", "2"} <= {label.get_text() for label in axes.get_yticklabels()}


def test_many_points_get_a_running_mean_that_ends_where_its_windows_do(tmp_path, drawn):
    loss_curve(history(100), tmp_path / "loss.png")
    smooth, raw, _ = drawn[0].axes[0].lines
    truth = [np.mean([2 / s for s in range(step - 5, step + 6)]) for step in range(6, 96)]
    np.testing.assert_allclose(smooth.get_xydata(), np.stack([np.arange(6, 96), truth], 1))
    assert smooth.get_label() == "training, loss (11-entry mean)"
    np.testing.assert_allclose(raw.get_ydata(), 2 / np.arange(1, 101))


@pytest.mark.parametrize("num_points", [1, 20, 130])
def test_mode_shares_get_their_own_panel_whose_bars_cover_the_steps_they_are_means_of(tmp_path, drawn, num_points):
    entries = [
        {"loss": 1.0, "step": 3 * number, "easy": number % 2, "middle": 0.0, "hard": 1 - number % 2}
        for number in range(1, num_points + 1)
    ]
    loss_curve(entries, tmp_path / "loss.png")
    _, bottom = drawn[0].axes
    assert bottom.get_ylabel() == "Rows (%)" and bottom.get_xlabel() == "Optimiser step"
    assert [text.get_text() for text in bottom.get_legend().get_texts()] == ["easy", "middle", "hard"]
    easy, middle, hard = bottom.containers
    assert len(easy) <= 60
    edges = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in easy]
    assert edges[0][0] == 0 and edges[-1][1] == 3 * num_points
    assert [left for left, _ in edges[1:]] == [right for _, right in edges[:-1]]
    for bar, (left, right) in zip(easy, edges, strict=True):
        shares = [entry["easy"] for entry in entries if left < entry["step"] <= right]
        assert bar.get_height() == pytest.approx(100 * np.mean(shares))
    tops = [bar.get_y() + bar.get_height() for bar in hard]
    np.testing.assert_allclose(tops, 100)
    assert all(bar.get_height() == 0 for bar in middle)


def test_no_series_is_a_single_dot(tmp_path, drawn):
    loss_curve([{"loss": 2.0, "step": 4}, {"eval_loss": 3.0, "step": 4}], tmp_path / "loss.png")
    training, held_out = drawn[0].axes[0].lines
    assert training.get_xydata().tolist() == [[0, 2], [4, 2]]
    assert held_out.get_xydata().tolist() == [[0, 3], [4, 3]] and held_out.get_linestyle() == "--"
    assert held_out.get_label() == "held out, SFT loss at step 4"


def test_a_run_without_evaluation_or_with_nothing_else_is_drawn(tmp_path, drawn):
    entries = history(20)
    loss_curve([entry for entry in entries if "loss" in entry], tmp_path / "loss.png")
    loss_curve([entry for entry in entries if "eval_loss" in entry], tmp_path / "held_out.png", formats=["svg"])
    assert [[line.get_label() for line in figure.axes[0].lines] for figure in drawn] == [
        ["training, loss"],
        ["held out, SFT loss"],
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"loss.png", "held_out.svg"}


def test_what_is_not_finite_is_left_out_and_a_step_that_stands_twice_is_one_point(tmp_path, drawn):
    entries = [{"eval_loss": value, "step": step} for step, value in ((0, 3.0), (5, None), (6, float("nan")), (9, 2.0))]
    loss_curve([*entries, {"eval_loss": 1.9, "step": 9}], tmp_path / "loss.png")
    assert drawn[0].axes[0].lines[0].get_xydata().tolist() == [[0, 3.0], [9, 1.9]]


def test_a_history_without_a_loss_is_refused(tmp_path):
    with pytest.raises(LiftError, match="Lower logging_steps"):
        loss_curve([{"train_loss": 1.0, "step": 3}], tmp_path / "loss.png")
