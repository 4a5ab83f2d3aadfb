from __future__ import annotations

import sys

import pytest
from matplotlib.figure import Figure

from lift.errors import LiftError
from lift.report import dark_svg, dress_axes, new_figure, write_figure


def draw(path) -> None:
    figure = new_figure(height=4.0)
    figure.subplots().plot([1, 2])
    write_figure(figure, path)


def test_the_format_follows_the_suffix(tmp_path):
    draw(tmp_path / "loss.svg")
    assert b"<svg" in (tmp_path / "loss.svg").read_bytes()
    first = (tmp_path / "loss.svg").read_bytes()
    draw(tmp_path / "loss.svg")
    assert (tmp_path / "loss.svg").read_bytes() == first  # nothing tells when it was written
    with pytest.raises(LiftError, match=r"must end in \.png, \.svg or \.pdf, got '\.xyz'"):
        draw(tmp_path / "loss.xyz")


def test_a_failed_write_leaves_the_old_picture_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "loss.png"
    path.write_bytes(b"old")

    def fail(figure, file, **kwargs):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        draw(path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_missing_matplotlib_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(LiftError, match=r"pip install 'lift-kernels\[plot\]'"):
        draw(tmp_path / "loss.png")


def test_a_dark_figure_has_the_colours_of_a_dark_page(tmp_path):
    figure = new_figure(height=4.0)
    axes = figure.subplots()
    axes.plot([1, 2])
    dress_axes(axes, "white paper, black ink: #ffffff", has_legend=False)
    write_figure(figure, tmp_path / "loss.svg")
    light = (tmp_path / "loss.svg").read_text("utf-8")
    dark = dark_svg(light)
    assert "fill: #ffffff" in light and "fill: #ffffff" not in dark and "fill: #16181d" in dark.lower()
    assert "white paper, black ink: #ffffff" in dark  # text is no colour
    assert "#30343b" not in dark and "#e8eaee" in dark.lower()
