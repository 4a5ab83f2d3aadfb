"""Rows of a first step on the screen: each part in its colour, and in brackets of its own, as output may be piped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from rich.text import Text

from lift.training.first_rows import CANDIDATE, KEPT, PROMPT, PUT_BACK, VISIBLE, FirstRow

_LINES = 5
_BLOCKS = 6
_PROMPT_TOKENS, _RESPONSE_TOKENS = 24, 160
# style, what stands before, what behind, in words
_LOOKS = {
    PROMPT: ("dim", "", "", "prompt"),
    VISIBLE: ("", "", "", ""),
    KEPT: ("bold green", "[", "]", "masked and trained (kept)"),
    CANDIDATE: ("bold yellow", "{", "}", "masked; the loss chooses which are trained"),
    PUT_BACK: ("cyan", "(", ")", "masked for scoring, put back"),
}


def legend(rows: list[FirstRow]) -> Text:
    """Say what the brackets in `rows` mean."""
    used = {state for row in rows for state in row.states}
    text = Text()
    for state in (KEPT, CANDIDATE, PUT_BACK):
        if state in used:
            style, before, behind, words = _LOOKS[state]
            text.append(f"{before}text{behind}", style).append(f" {words}\n")
    return text.append("prompt", "dim").append(" | response")


def heading(row: FirstRow) -> str:
    """Return the line above a row: its number, what was drawn for it or its blocks, and how many tokens fared how."""
    drawn = [f"t {_of_blocks([f'{time:.3f}' for time in row.timestep])}"]
    drawn += [] if row.rho is None else [f"rho {_of_blocks([f'{rho:.3f}' for rho in row.rho])}"]
    drawn += [] if row.mode is None else [f"mode {_of_blocks(row.mode)}"]
    count = {state: row.states.count(state) for state in _LOOKS}
    of = len(row.states) - count[PROMPT]
    masked = count[KEPT] + count[CANDIDATE]
    told = f"{masked} of {of} masked" + (f", {count[PUT_BACK]} put back" if row.rho is not None else "")
    return f"row {row.example_id}: {', '.join(drawn)}; {told}"


def _of_blocks(drawn: Sequence[str]) -> str:
    return " ".join(drawn[:_BLOCKS]) + (f" … ({len(drawn)} blocks)" if len(drawn) > _BLOCKS else "")


def render_row(row: FirstRow, tokenizer: Any, width: int = 80) -> Text:
    """Return the end of the prompt, a bar, and the start of the response, in at most 5 lines of `width` columns."""
    ids, states = row.clean_ids[: row.length], row.states[: row.length]
    first = next((i for i, state in enumerate(states) if state != PROMPT), len(states))
    start, end = max(0, first - _PROMPT_TOKENS), first + _RESPONSE_TOKENS
    is_cut = end < len(ids)
    text = Text("… " if start else "", "dim")
    is_response = False
    for state, piece in _pieces(ids[start:end], states[start:end], tokenizer):
        if state != PROMPT and not is_response:
            text.append(" | ")
            is_response = True
        style, before, behind, _ = _LOOKS[state]
        word = piece.lstrip(" ") or piece
        text.append(" " * (len(piece) - len(word)))
        text.append(f"{before}{word}{behind}", style)
    most = _LINES * (width - 2) - 20
    if is_cut or len(text) > most:
        text.truncate(most)
        text.append(" …", "dim")
    if num_padding := len(row.clean_ids) - row.length:
        text.append(f" +{num_padding} of padding", "dim")
    return text


def _pieces(ids: list[int], states: list[int], tokenizer: Any) -> Iterator[tuple[int, str]]:
    """Yield each run of tokens of one state as text, with the space that a decoder puts before it."""
    done, position = "", 0
    for state, run in groupby(states):
        position += len(list(run))
        whole = tokenizer.decode(ids[:position], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        shared = next(
            (i for i, (a, b) in enumerate(zip(done, whole, strict=False)) if a != b), min(len(done), len(whole))
        )
        yield state, "".join(c if c.isprintable() else repr(c)[1:-1] for c in whole[shared:])
        done = whole
