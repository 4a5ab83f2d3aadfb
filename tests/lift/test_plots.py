from __future__ import annotations

import sys

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread

from lift import plots
from lift.errors import LiftError
from lift.plots import accuracy_by_difficulty, loss_curve


def history(num_points: int, **extra: float) -> list[dict[str, float]]:
    """What a Trainer logs: training entries, an evaluation now and then, and a summary without a loss."""
    entries: list[dict[str, float]] = []
    for step in range(1, num_points + 1):
        entries.append({"loss": 2 / step, "learning_rate": 1e-3, "step": step, **extra})
        if step % 10 == 0:
            entries.append({"eval_loss": 3 / step, "step": step})
    return [*entries, {"train_runtime": 1.0, "train_loss": 0.1, "step": num_points}]


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    """The figures that were written, to look at what is in them."""
    figures: list[Figure] = []
    savefig = Figure.savefig

    def keep(figure, *args, **kwargs):
        figures.append(figure)
        return savefig(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


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


def test_accuracy_is_drawn_before_and_after(tmp_path, drawn):
    accuracy_by_difficulty({4: (1, 50), 8: (0, 40)}, {4: (50, 50), 8: (1999, 2000)}, tmp_path / "accuracy.png")
    (axes,) = drawn[0].axes
    before, after = axes.containers
    assert [bar.get_height() for bar in before] == [2, 0]
    assert [bar.get_height() for bar in after] == [100, 99.95]
    # Nothing but a full score reads as 100.
    assert [text.get_text() for text in axes.texts] == ["2", "0", "100", "99.9"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["4\nn = 50", "8\nn = 2000"]
    assert axes.get_ylabel() == "Valid grids (%)" and axes.get_xlabel() == "Blank cells in the puzzle"


def test_accuracy_without_a_before_is_drawn(tmp_path, drawn):
    accuracy_by_difficulty({}, {4: (1, 2)}, tmp_path / "accuracy.png")
    assert [text.get_text() for text in drawn[0].axes[0].get_legend().get_texts()] == ["after training"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.04, "0.1"), (0.5, "0.5"), (3.2, "3"), (95.06, "95.1"), (99.96, "99.9"), (100, "100")],
)
def test_only_none_and_all_read_as_0_and_100(value, text):
    assert plots._percent(value) == text


def test_the_picture_holds_the_colours_and_replaces_the_old_one(tmp_path):
    path = tmp_path / "new folder" / "accuracy.png"
    for _ in range(2):
        accuracy_by_difficulty({4: (1, 2)}, {4: (2, 2)}, path)
    pixels = imread(path)[..., :3]
    assert pixels.shape[1] == 1200
    for colour in (plots.BLUE, plots.GREY):
        assert (abs(pixels - np.array(to_rgb(colour))).max(-1) < 0.01).mean() > 0.02
    assert list(path.parent.iterdir()) == [path]
    # Readable by whoever may read other files made here: a temporary file is often its owner's alone.
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_format_follows_the_suffix(tmp_path):
    loss_curve(history(3), tmp_path / "loss.svg")
    assert b"<svg" in (tmp_path / "loss.svg").read_bytes()
    with pytest.raises(LiftError, match=r"must end in \.png, \.svg or \.pdf, got '\.xyz'"):
        loss_curve(history(3), tmp_path / "loss.xyz")


def test_a_failed_write_leaves_the_old_picture_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "loss.png"
    path.write_bytes(b"old")

    def fail(figure, file, **kwargs):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        loss_curve(history(3), path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_missing_matplotlib_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(LiftError, match=r"pip install 'lift-kernels\[plot\]'"):
        loss_curve(history(3), tmp_path / "loss.png")


def test_a_history_without_a_loss_is_refused(tmp_path):
    with pytest.raises(LiftError, match="Lower logging_steps"):
        loss_curve([{"train_loss": 1.0, "step": 3}], tmp_path / "loss.png")


@pytest.mark.parametrize("counts", [{4: (3, 2)}, {4: (-1, 2)}, {4: (0, 0)}])
def test_counts_that_do_not_fit_are_refused(tmp_path, counts):
    for before, after, name in ((counts, {4: (1, 1)}, "before"), ({}, counts, "after")):
        with pytest.raises(LiftError, match=rf"{name}\[4\] must be \(valid, n\)"):
            accuracy_by_difficulty(before, after, tmp_path / "accuracy.png")
    with pytest.raises(LiftError, match="after must hold at least one"):
        accuracy_by_difficulty({4: (1, 1)}, {}, tmp_path / "accuracy.png")
    assert not list(tmp_path.iterdir())
