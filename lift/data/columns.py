"""Choose the columns of a row that hold its text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lift.errors import LiftError


@dataclass(frozen=True)
class Columns:
    """Name the columns of a row: `messages`, or else `prompt` and `completion`; beside them what a template reads."""

    prompt: str | None = None
    completion: str | None = None
    messages: str | None = None
    tools: str | None = None
    documents: str | None = None

    @property
    def text(self) -> list[str]:
        """The columns of the conversation itself."""
        return [name for name in (self.prompt, self.completion, self.messages) if name is not None]

    @property
    def names(self) -> list[str]:
        return [*self.text, *(name for name in (self.tools, self.documents) if name is not None)]


def find_columns(present: Sequence[str], prompt: str | None, completion: str | None, messages: str | None) -> Columns:
    """Choose the columns: the user's names first, else `prompt` and `completion`, or `messages`.

    Columns `tools` and `documents` go with either, for the chat template.

    Raises: LiftError that lists the columns present if a named one is missing, none can be found, or both kinds can.
    """
    listed = ", ".join(present)
    named = {"prompt_column": prompt, "completion_column": completion, "messages_column": messages}
    for option, column in named.items():
        if column is not None and column not in present:
            raise LiftError(f"--{option} {column}: there is no such column; the data have the columns {listed}.")
    if messages is not None and (prompt is not None or completion is not None):
        raise LiftError("--messages_column cannot be combined with --prompt_column or --completion_column.")
    context = {
        name: name for name in ("tools", "documents") if name in present and name not in (prompt, completion, messages)
    }
    if messages is not None:
        return Columns(messages=messages, **context)
    is_unnamed = prompt is None and completion is None
    pair = Columns(prompt=prompt or "prompt", completion=completion or "completion", **context)
    if all(column in present for column in pair.text):
        if is_unnamed and "messages" in present:
            raise LiftError(
                "the data have prompt and completion and also messages, so there are two conversations in a row: "
                "choose with --messages_column messages, or with --prompt_column prompt --completion_column completion."
            )
        return pair
    if is_unnamed and "messages" in present:
        return Columns(messages="messages", **context)
    raise LiftError(
        f"the data have the columns {listed}, and neither prompt and completion nor messages; name yours "
        "with --prompt_column and --completion_column (for instance --prompt_column question "
        "--completion_column answer), or with --messages_column."
    )
