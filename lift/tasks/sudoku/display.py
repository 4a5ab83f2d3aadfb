"""4x4 Sudoku grids and decoding steps for a terminal, readable with and without colour."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions
from rich.text import Text

from lift.errors import LiftError
from lift.tasks.sudoku.puzzles import Puzzle
from lift.tasks.sudoku.rules import NUM_CELLS, check_clues

if TYPE_CHECKING:
    from rich.console import RenderResult

GRID_WIDTH = 15
GAP = 2
MAX_WIDTH = 100

# kind of cell -> (what stands left and right of its digit without colour, its style with colour)
CELL_LOOK = {
    "clue": (" ", " ", "bold"),
    "filled": ("(", ")", "cyan"),
    "new": ("[", "]", "bold black on cyan"),
    "masked": (" ", " ", "dim"),
    "wrong": ("!", "!", "bold white on red"),
}


@dataclass(frozen=True)
class Grid:
    """One grid that rich prints in colour where the terminal has any, and `str` gives without."""

    clues: str
    grid: str
    newly_filled: frozenset[int]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self.lines(_has_colour(console))

    def __str__(self) -> str:
        return "\n".join(line.plain for line in self.lines(False))

    def lines(self, has_colour: bool) -> list[Text]:
        bars = [Text(ends[0] + "─" * 6 + ends[1] + "─" * 6 + ends[2], "dim") for ends in ("╭┬╮", "├┼┤", "╰┴╯")]
        body = []
        for row in range(4):
            line = Text()
            for column in range(4):
                if column % 2 == 0:
                    line.append("│", "dim")
                line.append_text(self._cell(4 * row + column, has_colour))
            body.append(line.append("│", "dim"))
        return [bars[0], *body[:2], bars[1], *body[2:], bars[2]]

    def _cell(self, position: int, has_colour: bool) -> Text:
        clue, digit = self.clues[position], self.grid[position]
        if clue != "0":
            # The model writes the clues too: one not yet written still shows, one overwritten is an error.
            kind, digit = ("clue", clue) if digit in ("0", clue) else ("wrong", digit)
        elif digit == "0":
            kind, digit = "masked", "·"
        elif digit not in "1234":
            kind = "wrong"
        else:
            kind = "new" if position in self.newly_filled else "filled"
        return _cell(kind, digit, has_colour)


@dataclass(frozen=True)
class Steps:
    """Grids side by side under their titles, with a legend; as many as fit the console, 6 at most."""

    clues: str
    frames: tuple[tuple[str, str], ...]  # (title, grid) wherever a blank cell changes

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self.lines(_has_colour(console), options.max_width)

    def __str__(self) -> str:
        return "\n".join(line.plain for line in self.lines(False, MAX_WIDTH))

    def lines(self, has_colour: bool, width: int) -> Iterator[Text]:
        room = max(2, (min(width, MAX_WIDTH) + GAP) // (GRID_WIDTH + GAP))
        columns = []
        before = self.clues
        for title, frame in _spaced_out(self.frames, room):
            changed = frozenset(i for i in range(NUM_CELLS) if frame[i] != before[i])
            grid = Grid(self.clues, frame, changed)
            columns.append([Text(title.center(GRID_WIDTH), "italic"), *grid.lines(has_colour)])
            before = frame
        for parts in zip(*columns, strict=True):
            yield Text(" " * GAP).join(parts)
        legend = Text()
        for kind, digit, meaning in (
            ("clue", "1", "clue"),
            ("masked", "·", "masked"),
            ("new", "2", "new in this grid"),
            ("filled", "3", "filled before"),
            ("wrong", "4", "wrong"),
        ):
            if kind != "wrong" or any(_is_wrong(self.clues, frame) for _, frame in self.frames):
                legend.append_text(_cell(kind, digit, has_colour)).append(f" {meaning}  ", "dim")
        legend.rstrip()
        yield legend


def render_grid(clues: str, grid: str, newly_filled: Collection[int] = ()) -> Grid:
    """Return a 4x4 grid with box borders, for rich to print; `str` of it is plain text.

    With colour, clues are bold, filled cells cyan, and new ones on a cyan ground. Without, filled cells stand
    in round brackets and new ones in square ones. A masked cell is a dot; a digit that overwrites a clue, and
    a character that is no digit, are marked as wrong.

    Args:
        clues: 16 characters, "0" for an empty cell.
        grid: 16 characters, "0" for a cell that is still masked.
        newly_filled: positions in [0, 16) to highlight.
    Raises: LiftError if clues or grid has the wrong form.
    """
    check_clues(clues)
    _check_frame(grid)
    return Grid(clues, grid, frozenset(newly_filled))


def render_steps(puzzle: Puzzle, frames: Sequence[str]) -> Steps:
    """Return how a puzzle was solved, step by step: the puzzle and up to five later states side by side.

    A state in which no blank cell changed is left out (the model writes the clues as well), and where the
    rest do not fit 100 columns or the console, evenly spaced ones are shown, the last state always.

    Args:
        puzzle: the puzzle that was decoded.
        frames: at least one grid of 16 characters, "0" for masked: the state after each decoding step.
    Raises: LiftError if there is no frame or one has the wrong form.
    """
    check_clues(puzzle.clues)
    if not frames:
        raise LiftError("render_steps: frames must hold at least one grid, got none.")
    shown = [("puzzle", puzzle.clues)]
    for step, frame in enumerate(frames, start=1):
        _check_frame(frame)
        # What a reader sees: clues stand whether or not the model has written them yet.
        visible = "".join(c if f == "0" else f for c, f in zip(puzzle.clues, frame, strict=True))
        if visible != shown[-1][1]:
            shown.append((f"step {step}", visible))
    return Steps(puzzle.clues, tuple(shown))


def _spaced_out(frames: Sequence[tuple[str, str]], room: int) -> list[tuple[str, str]]:
    if len(frames) <= room:
        return list(frames)
    return [frames[round(i * (len(frames) - 1) / (room - 1))] for i in range(room)]


def _cell(kind: str, digit: str, has_colour: bool) -> Text:
    left, right, style = CELL_LOOK[kind]
    return Text(f" {digit} ", style) if has_colour else Text(f"{left}{digit}{right}")


def _is_wrong(clues: str, frame: str) -> bool:
    return any(f not in "01234" or c not in ("0", f) for c, f in zip(clues, frame, strict=True))


def _has_colour(console: Console) -> bool:
    return console.color_system is not None and not console.no_color


def _check_frame(grid: str) -> None:
    if len(grid) != NUM_CELLS:
        raise LiftError(f"a 4x4 Sudoku grid must be 16 characters, got {len(grid)}: {grid!r}.")
