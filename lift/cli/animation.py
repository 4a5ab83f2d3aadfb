"""Show in a terminal how a model writes: the answer after each step, masks as dots, tokens coloured by confidence."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.live import Live
from rich.text import Text

from lift.report.unmasking import LEVELS, MASK, Cell, Unmasking, level_of

if TYPE_CHECKING:
    from rich.console import Console

    from lift.sampling import Generation

# Of the levels, on light and dark grounds alike; without colour the least one is still underlined.
_STYLES = ("#2088CC", "", "#D55E00 underline")


class Animation:
    """A live display that is gone when the answer is there; nothing where the console is no terminal.

    Args:
        console: where it is shown.
        tokenizer: what the ids mean.
        mask_token_id: of the positions that are still to be written.
        start: the first column that is shown.
        is_on: False shows nothing in a terminal either.
        is_kept: keep the steps for `unmasking`.
    """

    def __init__(
        self, console: Console, tokenizer: Any, mask_token_id: int, start: int, *, is_on: bool = True,
        is_kept: bool = False,
    ) -> None:  # fmt: skip
        self._tokens, self._mask_token_id, self._start = _TokenTexts(tokenizer), mask_token_id, start
        self._before: list[Cell] = []
        self._frames: list[list[Cell]] | None = [] if is_kept else None
        is_on = is_on and console.is_terminal
        self._live = Live(console=console, transient=True, auto_refresh=False) if is_on else None

    def __enter__(self) -> Animation:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, progress: Generation) -> None:
        """Show the first row after a step: what `generate` calls as `on_progress`."""
        if self._live is None and self._frames is None:
            return
        ids = progress.ids[0, self._start :].tolist()
        confidence = progress.confidence[0, self._start :].tolist()
        cells = [
            Cell(None if token == self._mask_token_id else text, None if share < 0 else share)
            for token, text, share in zip(ids, self._tokens.of(ids), confidence, strict=True)
        ]
        if self._frames is not None:
            if not self._frames:
                # What the first step wrote, and what is padding by now, was masked.
                self._frames.append([c if c.confidence is None and c.text else Cell(None) for c in cells])
            self._frames.append(cells)
        if self._live is not None:
            self._live.update(self.frame(cells), refresh=True)
        self._before = cells

    def frame(self, cells: list[Cell]) -> Text:
        """Return a legend and the text of cells; what was another in the frame before is bold."""
        before = self._before or [Cell(None)] * len(cells)
        text = Text().append("confidence: ", "dim")
        for level, style in zip(LEVELS, _STYLES, strict=True):
            text.append(level.words, style).append("  ")
        text.append("new", "bold").append(f"  {MASK} masked\n", "dim")
        for cell, old in zip(cells, before, strict=True):
            if cell.text is None:
                text.append(MASK, style="dim")
            else:
                style = "dim" if cell.confidence is None else _STYLES[level_of(cell.confidence)]
                text.append(cell.text, style=style if cell == old else f"bold {style}")
        return text

    def unmasking(self, title: str) -> Unmasking:
        """Return the steps that were kept."""
        assert self._frames is not None
        return Unmasking(title, self._frames)


class _TokenTexts:
    """Texts of the tokens of a row, each as it reads behind the token before: with its space, or without its `##`."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: dict[tuple[int, ...], str] = {}

    def of(self, ids: list[int]) -> list[str]:
        return [self._text(tuple(ids[max(0, place - 1) : place + 1])) for place in range(len(ids))]

    def _text(self, ids: tuple[int, ...]) -> str:
        if ids not in self._known:
            if ids[-1] == self._tokenizer.pad_token_id:
                self._known[ids] = ""
            else:
                whole, before = self._tokenizer.decode(ids), self._tokenizer.decode(ids[:-1])
                is_behind = len(ids) > 1 and whole.startswith(before)
                self._known[ids] = whole[len(before) :] if is_behind else self._tokenizer.decode(ids[-1:])
        return self._known[ids]
