"""Encode a conversation of which every answer of the assistant is trained, and say where these stand."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from lift.data.chat_rows import end_of_row, is_closed, unasked_headers
from lift.data.chat_template import render
from lift.data.control_tokens import ControlTokens, without_doubled_end
from lift.data.messages import Message, calls_tools, without_end_token
from lift.data.response_spans import Span
from lift.errors import LiftError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def encode_assistant_turns(
    messages: list[Message],
    context: dict[str, list[Any]],
    tokenizer: PreTrainedTokenizerBase,
    control: ControlTokens,
    where: str,
) -> tuple[list[int], list[Span]]:
    """Return the ids of a conversation, and where in them the assistant's answers stand.

    An answer begins where a sampler would start it, behind the header that `add_generation_prompt=True` writes, and
    ends with what the template writes behind it up to the next turn. It is found by rendering the conversation up to
    each answer, so that a template needs no {% generation %}. An empty answer, and one that opens the conversation, is
    context.

    Args:
        messages: a prompt first, an answer of the assistant last.
        context: `tools` and `documents` for the template.
        tokenizer: has a chat template.
        control: its control tokens.
        where: how an error names the row.

    Raises: LiftError if the template fails, or writes an answer differently once the conversation goes on.
    """
    messages = without_end_token(messages, tokenizer.eos_token)
    if control.spelled_in([messages, context]):
        messages, context = control.mark(messages), control.mark(context)
    write = partial(render, tokenizer=tokenizer, where=where, context=context)
    whole = write(messages, is_prompt=False)
    ids: list[int] = []
    spans: list[Span] = []
    read = text = ""  # of `whole`, as it stands and as it is encoded
    for index, message in enumerate(messages):
        if index == 0 or message["role"] != "assistant" or not (message["content"].strip() or calls_tools(message)):
            continue
        before, answer = messages[:index], messages[index : index + 1]
        asked, turns = write(before, is_prompt=True), write(before, is_prompt=False)
        reopened = unasked_headers(before, answer, write, tokenizer, control)[1] if turns == asked else ""
        answered = write([*before, *answer], is_prompt=False).removesuffix(reopened)
        if not (asked.startswith(read) and answered.startswith(asked) and whole.startswith(answered)):
            raise LiftError(
                f"{where}: the chat template writes message {index + 1} differently once the conversation goes on, so "
                "it cannot be told where each answer stands; train the last one (assistant_turns='last'), or use a "
                "template that only appends."
            )
        response = without_doubled_end(answered[len(asked) :], control.endings)
        for piece in (asked[len(read) :], response):
            start = len(ids)
            ids = _extended(ids, text, piece, control, where)
            text += piece
        if index == len(messages) - 1 and not is_closed(response, before, answer, reopened, write, control):
            ids = ids + end_of_row(tokenizer)
        spans.append((start, len(ids)))
        read = answered
    return ids, spans


def _extended(ids: list[int], text: str, piece: str, control: ControlTokens, where: str) -> list[int]:
    """Return the ids of `text`, which are `ids`, and of a piece behind it; no token spans the boundary."""
    found = control.encode_template(text + piece, where)
    return found if found[: len(ids)] == ids else ids + control.encode_template(piece, where)
