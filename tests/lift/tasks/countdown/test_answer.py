"""The verdict on what a model wrote for a puzzle."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from lift.tasks.countdown.answer import show_answer


@pytest.mark.parametrize(
    ("prompt", "answer", "shown"),
    [
        ("100,93,30=23", "\\boxed{(93+30)-100}", "right\n"),
        ("100,93,30=23", "\\boxed{(93-30)+100}", "wrong: worth 163, not 23\n"),
        ("30,100,93=23", "(93+30)-100", "wrong: no answer\n"),
        ("what is 2 + 2?", "\\boxed{4}", ""),
    ],
)
def test_an_answer_is_called_right_or_wrong(prompt, answer, shown):
    console = Console(file=io.StringIO())
    show_answer(console, prompt, answer)
    assert console.file.getvalue() == shown
