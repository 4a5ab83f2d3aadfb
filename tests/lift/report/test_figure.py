from __future__ import annotations

import sys

import pytest
from matplotlib.figure import Figure

from lift.errors import LiftError
from lift.report import check_formats, dark_svg, dress_axes, needs_log_scale, new_figure, write_figure


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


def test_a_figure_is_written_in_every_format_and_says_in_none_when(tmp_path):
    for folder in ("one", "other"):
        figure = new_figure(height=4.0)
        figure.subplots().plot([1, 2])
        write_figure(figure, tmp_path / folder / "loss.png", ["svg", "pdf"])
    files = sorted((tmp_path / "one").iterdir())
    assert [file.name for file in files] == ["loss.pdf", "loss.svg"]
    assert all(file.read_bytes() == (tmp_path / "other" / file.name).read_bytes() for file in files)
    with pytest.raises(LiftError, match="figure_formats must be some of png, svg, pdf, got 'gif'"):
        check_formats(["png", "gif"])


@pytest.mark.parametrize(
    ("values", "is_needed"), [([1, 20], False), ([1, 20.1], True), ([0, 50], False), ([-1, 50], False), ([], False)]
)
def test_a_log_scale_is_for_wide_ranges_above_zero(values, is_needed):
    assert needs_log_scale(values) == is_needed


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
