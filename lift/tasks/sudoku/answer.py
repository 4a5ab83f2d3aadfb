"""What a trained model wrote for a puzzle, as a grid with a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lift.errors import LiftError
from lift.tasks.sudoku.display import render_grid
from lift.tasks.sudoku.rules import NUM_CELLS, is_valid_solution, solve

if TYPE_CHECKING:
    from rich.console import Console


def show_answer(console: Console, prompt: str, answer: str) -> None:
    """Print the grid of an answer and whether it solves the puzzle; nothing where the prompt is none."""
    try:
        solutions = solve(prompt, limit=1)
    except LiftError:
        return
    if len(answer) != NUM_CELLS:
        console.print(f"not valid: {len(answer)} characters, and a grid has {NUM_CELLS}")
        return
    console.print(render_grid(prompt, answer))
    if is_valid_solution(prompt, answer):
        console.print("valid")
    elif not solutions:
        console.print("not valid: this puzzle has no solution")
    elif any(clue not in ("0", digit) for clue, digit in zip(prompt, answer, strict=True)):
        console.print("not valid: it changes a clue")
    else:
        console.print("not valid: a row, a column or a box lacks a digit")
