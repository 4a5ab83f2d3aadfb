"""Grids and steps as a terminal shows them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from lift.errors import LiftError
from lift.tasks import sudoku
from lift.tasks.sudoku import Puzzle
from tests.lift.tasks.sudoku.truth import PUZZLE

GRID_WITHOUT_COLOUR = """\
╭──────┬──────╮
│(1) 4 │[2] 3 │
│ 3 !1!│ ·  1 │
├──────┼──────┤
│ 4  3 │ · !?!│
│ ·  · │ ·  · │
╰──────┴──────╯"""


def test_a_grid_tells_its_cells_apart_without_colour():
    grid = sudoku.render_grid(PUZZLE.clues, "1423310100" + "0?0000", newly_filled={2})
    assert str(grid) == GRID_WITHOUT_COLOUR
    assert printed(grid) == GRID_WITHOUT_COLOUR + "\n"
    assert printed(grid, color_system="truecolor", no_color=True) == GRID_WITHOUT_COLOUR + "\n"


def test_a_grid_tells_its_cells_apart_with_colour():
    grid = sudoku.render_grid(PUZZLE.clues, "1423310100" + "0?0000", newly_filled={2})
    lines = printed(grid, color_system="standard").splitlines()
    bar, end = "\x1b[2m│\x1b[0m", "\x1b[0m"
    filled, clue, new, masked, wrong = "\x1b[36m", "\x1b[1m", "\x1b[1;30;46m", "\x1b[2m", "\x1b[1;37;41m"
    assert lines[1] == f"{bar}{filled} 1 {end}{clue} 4 {end}{bar}{new} 2 {end}{clue} 3 {end}{bar}"
    assert lines[2] == f"{bar}{clue} 3 {end}{wrong} 1 {end}{bar}{masked} · {end}{clue} 1 {end}{bar}"


def printed(renderable, width=100, color_system=None, no_color=None):
    console = Console(
        width=width, force_terminal=color_system is not None, color_system=color_system, no_color=no_color
    )
    with console.capture() as capture:
        console.print(renderable)
    return "\n".join(strip_resets(line) for line in capture.get().split("\n")) if no_color else capture.get()


def strip_resets(line: str) -> str:
    return "".join(part.partition("m")[2] if i else part for i, part in enumerate(line.split("\x1b[")))


def frames_of(puzzle: Puzzle, order: list[int]) -> list[str]:
    """The state after each step of committing one cell, in this order."""
    return ["".join(c if i in order[: n + 1] else "0" for i, c in enumerate(puzzle.solution)) for n in range(16)]


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(16)), st.sampled_from([200, 100, 80, 40]))
def test_steps_fit_the_console_and_end_with_the_solution(order, width):
    steps = sudoku.render_steps(PUZZLE, frames_of(PUZZLE, order))
    lines = printed(steps, width).splitlines()
    assert str(steps).splitlines() == lines or width < 100
    room = {200: 6, 100: 6, 80: 4, 40: 2}[width]
    assert all(len(line) <= min(width, 100) for line in lines)
    assert lines[1].count("╭") == room
    last = [line[-15:] for line in lines[1:8]]
    digits = "".join(c for line in last for c in line if c in "1234·")
    assert digits == PUZZLE.solution
    first = "".join(c for line in lines[1:8] for c in line[:15] if c in "1234·")
    assert first.replace("·", "0") == PUZZLE.clues


def test_steps_that_change_no_blank_cell_are_left_out():
    clue_cells = [i for i, clue in enumerate(PUZZLE.clues) if clue != "0"]
    blank_cells = [i for i, clue in enumerate(PUZZLE.clues) if clue == "0"]
    frames = frames_of(PUZZLE, clue_cells + blank_cells)
    text = str(sudoku.render_steps(PUZZLE, frames[: len(clue_cells) + 2]))
    assert text.splitlines()[0].split() == ["puzzle", "step", "8", "step", "9"]
    # The first blank cell is new in the second grid and filled before in the third.
    assert text.count("[1]") == 1 and text.count("(1)") == 1 and "wrong" not in text


def test_a_broken_clue_is_explained():
    wrong = "1" + PUZZLE.solution[1:5] + "4" + PUZZLE.solution[6:]
    text = str(sudoku.render_steps(PUZZLE, [wrong]))
    assert "!4!" in text and "wrong" in text


def test_a_wrong_frame_is_refused():
    with pytest.raises(LiftError, match="at least one grid"):
        sudoku.render_steps(PUZZLE, [])
    with pytest.raises(LiftError, match="must be 16 characters, got 3"):
        sudoku.render_steps(PUZZLE, ["123"])
    with pytest.raises(LiftError, match="must be 16 characters, got 0"):
        sudoku.render_grid(PUZZLE.clues, "")
