"""Find a 4x4 grid in what a model wrote, whatever stands between its cells."""

from __future__ import annotations

import re

from lift.tasks.reading import find_answer
from lift.tasks.sudoku.rules import NUM_CELLS

_LABEL = re.compile(r"\b(?:row|line)\s*[1-4](?!\d)\s*[:.)=]?", re.IGNORECASE)
_NAME = re.compile(r"\\(?:begin|end)\s*\{[^{}]*\}(?:\{[^{}]*\})?")
_LAYOUT = re.compile(r"\\(?:hline|quad|left|right)(?![A-Za-z])")
_PIECE = re.compile(r"(?P<cells>\d+)|(?P<gap>[\s|,;:/\-_+()\[\]{}\"'`&\\─━│┃┼╋├┤┬┴┌┐└┘╭╮╯╰║═]+)|(?P<word>.)", re.DOTALL)


def find_grid(output: str) -> str | None:
    """Return the last grid of the answer, 16 digits row by row; None where nothing there has exactly 16 cells.

    Spaces, bars, commas, brackets and labels such as "Row 1:" are not cells. Without an answer block, the last grid of
    the output counts.
    """
    found = find_answer(output)
    for text in (found.box, found.text):
        if text and (grids := _grids(text)):
            return grids[-1]
    return None


def _grids(text: str) -> list[str]:
    # A line inside a LaTeX array stands between cells; the name of the array is a word, which ends them.
    text = _LABEL.sub(" ", _NAME.sub("!", _LAYOUT.sub(" ", text)))
    runs = [""]
    for piece in _PIECE.finditer(text):
        if piece["cells"]:
            runs[-1] += piece["cells"]
        elif piece["word"] and runs[-1]:
            runs.append("")
    # Two grids in a row without a word between them are two.
    return [run[i : i + NUM_CELLS] for run in runs if len(run) % NUM_CELLS == 0 for i in range(0, len(run), NUM_CELLS)]
