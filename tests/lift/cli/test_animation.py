"""The unmasking of an answer, in a terminal and where there is none."""

from __future__ import annotations

import io

import torch
from rich.console import Console

from lift.cli.animation import Animation
from lift.report import Cell
from lift.sampling import Generation
from tests.lift.support.tiny import prose_tokenizer

MASK, MASK_SIGN = 4, "\N{MIDDLE DOT}"


def animation(is_terminal, no_color=False, **options):
    console = Console(file=io.StringIO(), force_terminal=is_terminal, width=80, no_color=no_color)
    return console, Animation(console, prose_tokenizer(), MASK, 2, **options)


def progress(*tokens, confidence):
    """Two given tokens and what was written behind them."""
    ids, shares = torch.tensor([[9, 9, *tokens]]), torch.tensor([[-1.0, -1.0, *confidence]])
    return Generation(ids, torch.zeros_like(ids), 1, shares)


def test_a_terminal_sees_each_step_and_keeps_nothing():
    console, shown = animation(True)
    words = prose_tokenizer()("abc")["input_ids"]
    with shown:
        shown.show(progress(MASK, words[1], MASK, confidence=[-1, 0.99, -1]))
        shown.show(progress(*words[:3], confidence=[0.7, 0.99, 0.2]))
    written = console.file.getvalue()
    assert MASK_SIGN in written and all(letter in written for letter in "abc")
    assert written.endswith("\x1b[1A\x1b[2K")  # the last frame is erased


def test_a_token_has_the_colour_of_its_confidence_and_what_is_new_is_bold():
    _, shown = animation(True)
    with shown:
        shown.show(progress(MASK, *prose_tokenizer()("b")["input_ids"][:1], MASK, confidence=[-1, 0.9375, -1]))
        frame = shown.frame([Cell("a", 0.25), Cell("b", 0.9375), Cell(None)])
    legend, text = frame.plain.split("\n")
    assert legend == "confidence: 90 % or more  50 to 90 %  under 50 %  new  · masked" and text == "ab·"
    styles = [str(span.style) for span in frame.spans if span.start > len(legend)]
    assert styles == ["bold #D55E00 underline", "#2088CC", "dim"] and len(legend) <= 80


def test_without_colour_what_is_unsure_is_still_underlined():
    console, shown = animation(True, no_color=True)
    with shown:
        shown.show(progress(5, 6, confidence=[0.99, 0.1]))
    written = console.file.getvalue()
    assert "38;" not in written and "\x1b[1;4m" in written


def test_nothing_is_shown_elsewhere_or_where_it_is_not_wanted():
    for is_terminal, is_on in ((False, True), (True, False)):
        console, shown = animation(is_terminal, is_on=is_on)
        with shown:
            shown.show(progress(MASK, 6, confidence=[-1, 0.9]))
        assert console.file.getvalue() == ""


def test_steps_are_kept_on_request_from_the_first_mask():
    _, shown = animation(False, is_kept=True)
    words = prose_tokenizer()("ab")["input_ids"]
    with shown:
        shown.show(progress(MASK, words[1], confidence=[-1, 0.5]))
        shown.show(progress(*words[:2], confidence=[0.25, 0.5]))
    found = shown.unmasking("title")
    assert found.frames == [
        [Cell(None), Cell(None)], [Cell(None), Cell("b", 0.5)], [Cell("a", 0.25), Cell("b", 0.5)],
    ]  # fmt: skip


def test_a_token_reads_as_it_does_behind_the_one_before():
    class WordPieces:
        pad_token_id = 0
        pieces = ("[PAD]", "play", "##ing", "ball", "[MASK]")

        def decode(self, ids):
            return " ".join(self.pieces[token] for token in ids).replace(" ##", "")

    shown = Animation(Console(file=io.StringIO()), WordPieces(), 4, 0, is_kept=True)
    shown.show(Generation(torch.tensor([[1, 2, 3, 4, 3, 0]]), torch.zeros(1, 6), 1, torch.full((1, 6), 0.5)))
    assert [cell.text for cell in shown.unmasking("").frames[-1]] == ["play", "ing", " ball", None, " ball", ""]
