"""The common look of figures: colours, axes, and writing them to a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lift.atomic_write import atomic_write
from lift.errors import LiftError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours of Okabe and Ito, which stay apart under every common form of colour blindness.
BLUE, ORANGE, GREEN, PURPLE, GREY, INK = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#B4B8BF", "#30343B"
_GRID, _PAPER = "#E6E8EB", "#FFFFFF"
_QUIET = "#5C6470"  # of a subtitle: 6 to 1 on white
FORMATS = ("png", "svg", "pdf")
"""What pictures of runs are written as."""

_LARGEST_LINEAR_RATIO = 20.0
# What they are on a dark page; the paper is that of `page_parts/page.css`.
_DARK = {BLUE: "#56B4E9", GREY: "#6B7280", INK: "#E8EAEE", _QUIET: "#A6ADB8", _GRID: "#2E333C", _PAPER: "#16181D"}


def new_figure(height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise LiftError("a plot needs matplotlib, which is not installed: pip install 'lift-kernels[plot]'") from error
    # A figure of its own, not pyplot's: no window system, and no state shared with the caller's plots.
    return Figure(figsize=(8.0, height), dpi=150, layout="constrained", facecolor="white")


def dress_axes(
    axes: Axes, title: str, grid_axis: Literal["x", "y"] | None = "y", has_legend: bool = True, subtitle: str = ""
) -> None:
    """The common look: title on the left, legend on the same line on the right, no box, quiet lines.

    A subtitle stands below both.
    """
    axes.set_title(title, loc="left", color=INK, fontsize=12, fontweight="bold", pad=22 if subtitle else 10)
    if subtitle:
        axes.annotate(
            subtitle, (0, 1), (0, 7), xycoords="axes fraction", textcoords="offset points", color=_QUIET, fontsize=9
        )
    if has_legend:
        from matplotlib.transforms import ScaledTranslation

        line = ScaledTranslation(0, (12 if subtitle else 0) / 72, axes.figure.dpi_scale_trans)
        axes.legend(
            loc="lower right", bbox_to_anchor=(1, 1), bbox_transform=axes.transAxes + line, ncols=3, frameon=False,
            borderpad=0.2, labelcolor=INK,
        )  # fmt: skip
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(color=GREY, labelcolor=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    if grid_axis is not None:
        axes.grid(axis=grid_axis, color=_GRID, linewidth=0.8)
        axes.set_axisbelow(True)


def needs_log_scale(values: Iterable[float]) -> bool:
    """Return whether values are all above 0 and so far apart that a linear axis would lay most of them on its floor."""
    values = list(values)
    return bool(values) and min(values) > 0 and max(values) > _LARGEST_LINEAR_RATIO * min(values)


def check_formats(formats: Iterable[str]) -> None:
    """Raise LiftError on the first format that pictures of runs are not written in."""
    for name in formats:
        if name not in FORMATS:
            raise LiftError(f"figure_formats must be some of {', '.join(FORMATS)}, got {name!r}.")


def write_figure(figure: Figure, path: Path, formats: Sequence[str] = ()) -> None:
    """Write a figure in the format of the path's suffix, or, in its place in each of `formats`, such as svg."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for target in [path.with_suffix(f".{name}") for name in formats] or [path]:
        _write(figure, target)


def _write(figure: Figure, path: Path) -> None:
    file_format = path.suffix.removeprefix(".") or "png"
    supported = figure.canvas.get_supported_filetypes()
    if file_format not in supported:
        raise LiftError(f"plot file {path} must end in .png, .svg or .pdf, got {path.suffix!r}.")
    import matplotlib

    # Text of an SVG stays text, and nothing in the file tells when it was written.
    dated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(file_format)
    with atomic_write(path) as file, matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": path.stem}):
        figure.savefig(file, format=file_format, metadata=dated)


def dark_svg(svg: str) -> str:
    """Return the SVG of a figure in the colours of a dark page."""
    dark = {light.lower(): colour for light, colour in _DARK.items()}
    pattern = "|".join(dark)
    return re.sub(rf"(?<=[:\"' ])({pattern})(?=[;\"'])", lambda found: dark[found[1].lower()], svg, flags=re.IGNORECASE)
