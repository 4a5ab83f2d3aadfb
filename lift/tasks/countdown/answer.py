"""What a trained model wrote for a Countdown puzzle, with a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lift.tasks.countdown.judge import judge
from lift.tasks.countdown.writing import read_prompt

if TYPE_CHECKING:
    from rich.console import Console


def show_answer(console: Console, prompt: str, answer: str) -> None:
    """Print whether an answer reaches the target, and else why not; nothing where the prompt is no puzzle."""
    puzzle = read_prompt(prompt)
    if puzzle is None:
        return
    verdict = judge(answer, puzzle.row())
    console.print("right" if verdict.correct else f"wrong: {verdict.reason}")
