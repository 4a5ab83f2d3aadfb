"""Show in a terminal how a model writes: the answer after each step, masks as dots, what is new in colour."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.live import Live
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console
    from torch import Tensor

_MASK = "\N{MIDDLE DOT}"


class Animation:
    """A live display that is gone when the answer is there; nothing where the console is no terminal.

    Args:
        console: where it is shown.
        tokenizer: what the ids mean.
        mask_token_id: of the positions that are still to be written.
        start: the first column that is shown.
        is_on: False shows nothing in a terminal either.
    """

    def __init__(self, console: Console, tokenizer: Any, mask_token_id: int, start: int, *, is_on: bool = True) -> None:
        self._tokenizer, self._mask_token_id, self._start = tokenizer, mask_token_id, start
        self._before: list[int] = []
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

    def show(self, step: int, ids: Tensor) -> None:
        """Show the first row of ids (B, T) after a step: what `generate` calls as `on_step`."""
        if self._live is None:
            return
        shown = ids[0, self._start :].tolist()
        self._live.update(self.frame(shown), refresh=True)
        self._before = shown

    def frame(self, ids: list[int]) -> Text:
        """Return the text of ids, those that were masks in the frame before in colour."""
        before = self._before or [self._mask_token_id] * len(ids)
        text = Text()
        for token, old in zip(ids, before, strict=True):
            if token == self._mask_token_id:
                text.append(_MASK, style="dim")
            else:
                text.append(self._tokenizer.decode([token]), style="bold green" if token != old else "")
        return text
