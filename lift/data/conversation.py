"""Read the conversation of a row, whatever columns hold it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lift.data.columns import Columns
from lift.data.messages import Message, calls_tools, read_messages, strip_end, turns
from lift.errors import LiftError


def read_conversation(
    row: Mapping[str, Any], columns: Columns, end: str | None, where: str
) -> tuple[list[Message], list[Message]]:
    """Return the messages of the prompt, and those of the completion, of which the last is the assistant's.

    Args:
        row: Cells by column name.
        columns: Which of them to read.
        end: The tokenizer's end token, which is no answer.
        where: How an error names the row.

    Raises: LiftError if a cell is unusable, there is no prompt, or the last answer is empty.
    """
    if columns.messages is not None:
        messages = read_messages(row[columns.messages], f"{where}: column {columns.messages!r}")
        prompt, completion = messages[:-1], messages[-1:]
        if not prompt:
            raise LiftError(f"{where}: column {columns.messages!r} must hold a prompt before the last message.")
    else:
        assert columns.prompt is not None and columns.completion is not None
        prompt = turns(row[columns.prompt], "user", f"{where}: column {columns.prompt!r}")
        completion = turns(row[columns.completion], "assistant", f"{where}: column {columns.completion!r}")
    answer = completion[-1]
    if answer["role"] != "assistant":
        raise LiftError(f"{where}: the last message must be the assistant's, got role {answer['role']!r}.")
    if not strip_end(answer["content"], end).strip() and not calls_tools(answer):
        raise LiftError(f"{where}: the completion is empty, so there is nothing to learn; remove the row.")
    return prompt, completion
