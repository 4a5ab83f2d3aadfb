"""How a text was written, step by step: what an animation of it shows, whatever the file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from lift.atomic_write import atomic_write
from lift.errors import LiftError

MASK = "\N{MIDDLE DOT}"
COLUMNS = 72
_LONGEST_SECONDS = 12.0
# Line breaks, and the other characters without a glyph, of which XML allows few.
_UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]")


class Level(NamedTuple):
    """Confidences that share a colour; the colours stay apart under every common form of colour blindness."""

    least: float
    words: str
    on_light: str
    on_dark: str


# The least one is underlined too, for whoever sees no colour.
LEVELS = (
    Level(0.9, "90 % or more", "#0072B2", "#56B4E9"),
    Level(0.5, "50 to 90 %", "#4A4F57", "#C9CDD3"),
    Level(0.0, "under 50 %", "#B34700", "#F0A04B"),
)


class Cell(NamedTuple):
    """One position at one step."""

    text: str | None
    """None where it is masked."""

    confidence: float | None = None
    """In [0, 1], as it was committed; None of what was given."""


class Place(NamedTuple):
    """Where a position stands in a picture, in columns of one narrow character."""

    line: int
    column: int
    width: int


class Span(NamedTuple):
    """What a position shows from one step up to another, which is excluded."""

    cell: Cell
    start: int
    end: int


@dataclass(frozen=True)
class Unmasking:
    """The steps of one text, each with a cell for every position."""

    title: str
    frames: Sequence[Sequence[Cell]]

    @property
    def title_line(self) -> str:
        """The title in one line."""
        return " ".join(_UNSHOWN.sub(" ", self.title).split())

    @property
    def heading(self) -> str:
        """The title in one line that fits a picture."""
        line = self.title_line
        return line if cell_len(line) <= COLUMNS else set_cell_size(line, COLUMNS - 1).rstrip() + "…"

    @property
    def seconds_a_frame(self) -> float:
        """How long a frame is shown: the more there are, the shorter."""
        return min(0.5, _LONGEST_SECONDS / len(self.frames))

    def places(self) -> list[Place]:
        """Return where each position stands: as its last text needs, so that nothing moves."""
        found, line, column = [], 0, 0
        for cell in self.frames[-1]:
            text = MASK if cell.text is None else cell.text
            width = cell_len(shown(text))
            if column and column + width > COLUMNS:
                line, column = line + 1, 0
            found.append(Place(line, column, width))
            column += width
            if "\n" in text:
                line, column = line + text.count("\n"), 0
        return found

    def spans(self, position: int) -> list[Span]:
        """Return what a position shows, in the order of time."""
        found: list[Span] = []
        for number, frame in enumerate(self.frames):
            if found and found[-1].cell == frame[position]:
                found[-1] = found[-1]._replace(end=number + 1)
            else:
                found.append(Span(frame[position], number, number + 1))
        return found


def shown(text: str) -> str:
    """Return a text as it stands in a line of a picture: tabs as four spaces, and no other control characters."""
    return _UNSHOWN.sub("", text.replace("\t", "    "))


def legend_words() -> list[str]:
    """Return the parts of a legend: what the levels are of, each of them, and how masks look."""
    return ["confidence:", *(level.words for level in LEVELS), f"{MASK} masked"]


def level_of(confidence: float) -> int:
    """Return the number of a confidence's level in `LEVELS`."""
    return next(number for number, level in enumerate(LEVELS) if confidence >= level.least)


# By suffix: the module here whose `render` returns the file's bytes.
FORMATS = {".gif": "unmasking_gif", ".html": "unmasking_html", ".svg": "unmasking_svg"}


def check_unmasking_path(path: Path) -> None:
    """Raise LiftError unless an unmasking can be saved under this name."""
    if path.suffix not in FORMATS:
        raise LiftError(f"{path} must end in {', '.join(FORMATS)}, got {path.suffix!r}.")
    if path.is_dir():
        raise LiftError(f"{path} is a folder: name a file.")
    if not path.parent.is_dir():
        raise LiftError(f"{path}: there is no folder {path.parent}: make it, or choose another.")


def save_unmasking(path: Path, unmasking: Unmasking) -> None:
    """Write an animation: a page that can be stopped and wound (.html), or a picture that moves (.svg, .gif).

    Raises: LiftError for another suffix, or where pillow, which .gif needs, is not installed.
    """
    check_unmasking_path(path)
    render: Callable[[Unmasking], bytes] = import_module(f"lift.report.{FORMATS[path.suffix]}").render
    content = render(unmasking)
    with atomic_write(path) as file:
        file.write(content)
