"""The 4x4 Sudoku task: puzzles with one solution, a character tokenizer, and a score that knows the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lift.lazy_face import lazy_face

if TYPE_CHECKING:
    from lift.tasks.sudoku.display import render_grid, render_steps
    from lift.tasks.sudoku.judge import CHANCE, SudokuTotals, summarise
    from lift.tasks.sudoku.model import SudokuScore, build_tokenizer, decode_grids, evaluate
    from lift.tasks.sudoku.puzzles import Puzzle, generate_puzzles, read_puzzles, rows
    from lift.tasks.sudoku.rules import is_valid_solution, solve
    from lift.tasks.sudoku.written_grid import find_grid

__all__ = [
    "CHANCE",
    "Puzzle",
    "SudokuScore",
    "SudokuTotals",
    "build_tokenizer",
    "decode_grids",
    "evaluate",
    "find_grid",
    "generate_puzzles",
    "is_valid_solution",
    "read_puzzles",
    "render_grid",
    "render_steps",
    "rows",
    "solve",
    "summarise",
]

__getattr__, __dir__ = lazy_face(__name__, __file__)
