"""The unmasking of an answer, in a terminal and where there is none."""

from __future__ import annotations

import io

import torch
from rich.console import Console

from lift.cli.animation import Animation
from tests.lift.support.tiny import prose_tokenizer

MASK = 4


def animation(is_terminal, **options):
    console = Console(file=io.StringIO(), force_terminal=is_terminal, width=60)
    return console, Animation(console, prose_tokenizer(), MASK, 2, **options)


def test_a_terminal_sees_each_step_and_keeps_nothing():
    console, shown = animation(True)
    words = prose_tokenizer()("abc")["input_ids"]
    with shown:
        shown.show(1, torch.tensor([[9, 9, MASK, words[1], MASK]]))
        shown.show(2, torch.tensor([[9, 9, words[0], words[1], words[2]]]))
    written = console.file.getvalue()
    assert "\N{MIDDLE DOT}" in written and all(letter in written for letter in "abc")
    assert written.endswith("\x1b[1A\x1b[2K")  # the last frame is erased


def test_what_is_new_is_in_colour():
    _, shown = animation(True)
    with shown:
        shown.show(1, torch.tensor([[9, 9, MASK, 6, MASK]]))
        frame = shown.frame([5, 6, MASK])
    assert [str(span.style) for span in frame.spans if span.style] == ["bold green", "dim"]


def test_nothing_is_shown_elsewhere_or_where_it_is_not_wanted():
    for is_terminal, is_on in ((False, True), (True, False)):
        console, shown = animation(is_terminal, is_on=is_on)
        with shown:
            shown.show(1, torch.tensor([[9, 9, MASK, 6, MASK]]))
        assert console.file.getvalue() == ""
