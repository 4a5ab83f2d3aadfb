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
    loss_curve(history(20), tmp_path / "loss.png")
    (axes,) = drawn[0].axes
    training, held_out = axes.lines
    assert training.get_xydata().tolist() == [[step, 2 / step] for step in range(1, 21)]
    assert held_out.get_xydata().tolist() == [[10, 0.3], [20, 0.15]]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["training", "held out"]
    assert (axes.get_title("left"), axes.get_xlabel()) == ("Loss during training", "Optimiser step")
    assert axes.get_ylabel() == "Loss (nats)" and axes.get_ylim()[0] == 0


def test_many_points_get_a_running_mean_beside_them(tmp_path, drawn):
    loss_curve(history(100), tmp_path / "loss.png")
    smooth, raw, _ = drawn[0].axes[0].lines
    truth = [np.mean([2 / s for s in range(max(1, step - 5), min(100, step + 5) + 1)]) for step in range(1, 101)]
    np.testing.assert_allclose(smooth.get_ydata(), truth)
    np.testing.assert_allclose(raw.get_ydata(), 2 / np.arange(1, 101))


def test_mode_shares_get_their_own_panel(tmp_path, drawn):
    loss_curve(history(20, easy=0.5, middle=0.3, hard=0.2), tmp_path / "loss.png")
    top, bottom = drawn[0].axes
    assert bottom.get_ylabel() == "Rows (%)" and bottom.get_xlabel() == "Optimiser step"
    assert [text.get_text() for text in bottom.get_legend().get_texts()] == ["easy", "middle", "hard"]
    bounds = [
        (area.get_datalim(bottom.transData).y0, area.get_datalim(bottom.transData).y1) for area in bottom.collections
    ]
    np.testing.assert_allclose(bounds, [(0, 50), (50, 80), (80, 100)])
    assert len(top.lines) == 2


def test_a_run_without_evaluation_or_with_nothing_else_is_drawn(tmp_path, drawn):
    entries = history(20)
    loss_curve([entry for entry in entries if "loss" in entry], tmp_path / "loss.png")
    loss_curve([entry for entry in entries if "eval_loss" in entry], tmp_path / "held_out.png")
    assert [[line.get_label() for line in figure.axes[0].lines] for figure in drawn] == [
        ["training"],
        ["held out"],
    ]


def test_a_history_without_a_loss_is_refused(tmp_path):
    with pytest.raises(LiftError, match="Lower logging_steps"):
        loss_curve([{"train_loss": 1.0, "step": 3}], tmp_path / "loss.png")
