from __future__ import annotations

import math

import pytest
from matplotlib import image
from matplotlib.figure import Figure

from benchmarks.ops.plots import exponent, write_plots
from benchmarks.ops.results import Results
from tests.benchmarks.ops.reports import file_of_results


def test_the_exponent_is_that_of_a_power_law():
    assert exponent([(1, 3), (2, 12), (4, 48)]) == pytest.approx(2)
    assert exponent([(1, 5), (10, 5)]) == pytest.approx(0)
    assert math.isnan(exponent([(1, 5)])) and math.isnan(exponent([]))


def test_a_picture_for_what_varies_and_none_for_what_does_not(tmp_path, monkeypatch):
    labels, colors, save = [], [], Figure.savefig

    def spy(figure, *arguments, **options):
        labels.append(figure.axes[0].get_legend_handles_labels()[1])
        colors.extend([line.get_color() for line in axes.lines] for axes in figure.axes)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", spy)
    (path,) = write_plots(Results.read(file_of_results(tmp_path)), tmp_path / "plots")
    assert path.name == "32k-512-loss-trained-bfloat16-by-masked.png"
    assert labels == [[
        "bare matrix products: time masked^1.00",
        "lift_kernels: time masked^2.00, memory masked^1.00",
        "~logits: time masked^1.00, memory masked^1.00",
    ]]  # fmt: skip
    assert colors == [["C0", "C1", "C2"], ["C1", "C2"]]  # of one provider on both sides
    assert image.imread(path).shape[1] > 1000
