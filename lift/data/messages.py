"""Check what a row holds for a chat template: its messages, its tools and its documents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from datasets import LargeList, List

from lift.errors import LiftError

Message = dict[str, Any]

_CALLS = ("tool_calls", "function_call")


def turns(cell: Any, role: str, where: str) -> list[Message]:
    """Return a cell that is a string, or a list of messages, as messages."""
    return [{"role": role, "content": cell}] if isinstance(cell, str) else read_messages(cell, where, "a string or ")


def read_messages(cell: Any, where: str, alternative: str = "") -> list[Message]:
    """Return the messages of a cell, each with the strings role and content and without keys that are null.

    An assistant's message that calls tools may leave its content out, or null; it becomes the empty string, which
    every template can write.

    Raises: LiftError that names the cell (`where`) if it holds anything else.
    """
    if cell is None:
        raise LiftError(f"{where} is null; fill the cell or remove the row.")
    if not isinstance(cell, list) or not cell:
        got = "an empty list" if cell == [] else type(cell).__name__
        raise LiftError(f"{where} must be {alternative}a list of messages, got {got}.")
    messages = []
    for message in cell:
        # Null keys of a message mean nothing, and templates ask whether a key is there.
        found = {key: value for key, value in message.items() if value is not None} if isinstance(message, dict) else {}
        if calls_tools(found):
            found.setdefault("content", "")
        if not all(isinstance(found.get(key), str) for key in ("role", "content")):
            raise LiftError(f"{where} must hold messages with the strings role and content, got {message!r:.80}.")
        messages.append(found)
    return messages


def calls_tools(message: Message) -> bool:
    """Return whether a message is the assistant's and calls a tool: an answer, even without content."""
    return message.get("role") == "assistant" and any(message.get(key) for key in _CALLS)


def without_end_token(messages: list[Message], end: str | None) -> list[Message]:
    """Return the messages without an end token that the assistant's texts end with: the template writes its own."""
    return [
        {**message, "content": strip_end(message["content"], end)} if message["role"] == "assistant" else message
        for message in messages
    ]


def strip_end(text: str, end: str | None) -> str:
    """Return the text without the end tokens, and the white space behind them, that it ends with."""
    while end and (bare := text.rstrip()).endswith(end):
        text = bare.removesuffix(end)
    return text


def read_context(cell: Any, where: str) -> list[Any] | None:
    """Return a cell of tools or documents: a list of objects, or that list, or its objects, as JSON text.

    Raises: LiftError that names the cell (`where`) if it is anything else.
    """
    if isinstance(cell, str):
        cell = _parse(cell, where) if cell.strip() else None
    if cell is None or cell == []:
        return None
    if not isinstance(cell, list):
        raise LiftError(f"{where} must be a list of objects, or that list as JSON text, got {type(cell).__name__}.")
    found = [_parse(item, where) if isinstance(item, str) else item for item in cell]
    for item in found:
        if not isinstance(item, dict):
            raise LiftError(f"{where} must be a list of objects, or that list as JSON text, got {item!r:.80} in it.")
    return found


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise LiftError(f"{where} must be a list of objects, or that list as JSON text, got {text!r:.80}.") from None


def without_table_nulls(value: Any, feature: Any) -> Any:
    """Return a cell without the keys that are null, at every depth, where its column is a table of structs.

    A struct has the keys of all rows, and those that a row lacks are null there. What a column holds as JSON has the
    keys that were written, and its nulls mean something.

    Args:
        value: the cell.
        feature: its column's entry in the `features` of a data set.
    """
    if isinstance(feature, dict) and isinstance(value, Mapping):
        return {key: without_table_nulls(item, feature.get(key)) for key, item in value.items() if item is not None}
    if isinstance(feature, (List, LargeList)) and isinstance(value, list):
        return [without_table_nulls(item, feature.feature) for item in value]
    if isinstance(feature, list) and isinstance(value, list):
        return [without_table_nulls(item, feature[0]) for item in value]
    return value
