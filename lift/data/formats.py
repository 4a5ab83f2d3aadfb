"""Encode a row, whatever columns hold its text, as prompt ids and response ids."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lift.data.assistant_turns import encode_assistant_turns
from lift.data.chat_rows import encode_chat, end_of_row
from lift.data.chat_template import render, template_text
from lift.data.columns import Columns
from lift.data.control_tokens import ControlTokens
from lift.data.conversation import read_conversation
from lift.data.messages import read_context, strip_end
from lift.data.prompt_frame import PromptFrame
from lift.data.response_spans import Span
from lift.errors import LiftError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

PROMPT_BOUNDARIES = ("generation_prompt", "user_turn_newline")
ASSISTANT_TURNS = ("last", "all")


def encode_row(
    row: Mapping[str, Any],
    columns: Columns,
    tokenizer: PreTrainedTokenizerBase,
    where: str,
    prompt_boundary: str = "generation_prompt",
    control: ControlTokens | None = None,
) -> tuple[list[int], list[int]]:
    """Return the prompt ids and the response ids of one row, special tokens included.

    With a chat template the prompt is the template's text of the prompt with `add_generation_prompt=True`, the
    response is the rest of the template's text of the whole conversation (see `encode_chat`). Without one, a row is
    [bos or cls] prompt [sep] completion [eos or sep], each special token where the tokenizer has it and the text does
    not bring it; the response begins after the first sep. Either way the prompt's ids are those that a sampler starts
    from, and text that spells a control token is encoded as text.

    Args:
        row: Cells by column name.
        columns: Which of them to read.
        tokenizer: A tokenizer of transformers.
        where: How an error names the row.
        prompt_boundary: One of `PROMPT_BOUNDARIES`; of chat templates. "user_turn_newline" is the published code's:
            as many ids as the prompt without the assistant's header and one newline have, so that the header counts
            as response.
        control: The tokenizer's control tokens, where the caller keeps them for many rows.

    Raises: LiftError if a cell is unusable, or the template fails or does not extend its own prompt.
    """
    control = control or ControlTokens(tokenizer)
    prompt, completion = read_conversation(row, columns, tokenizer.eos_token, where)
    if tokenizer.chat_template is not None:
        context = read_row_context(row, columns, tokenizer, where)
        return encode_chat(prompt, completion, context, tokenizer, control, where, prompt_boundary)
    if not all(isinstance(row[name], str) for name in columns.text):
        raise LiftError(
            f"{where}: a list of messages needs a chat template and this tokenizer has none; pass --chat_template "
            "plain, set tokenizer.chat_template, or give strings in the columns prompt and completion."
        )
    return _encode_plain(prompt[0]["content"], completion[0]["content"], tokenizer, control, where)


def encode_every_answer(
    row: Mapping[str, Any], columns: Columns, tokenizer: PreTrainedTokenizerBase, where: str, control: ControlTokens
) -> tuple[list[int], list[Span]]:
    """Return the ids of one row, and where in them the assistant's answers stand, all of them.

    Arguments and errors are those of `encode_row`; a row without a chat template has one answer.
    """
    if tokenizer.chat_template is None:
        prompt_ids, response_ids = encode_row(row, columns, tokenizer, where, control=control)
        ids = prompt_ids + response_ids
        return ids, [(len(prompt_ids), len(ids))]
    prompt, completion = read_conversation(row, columns, tokenizer.eos_token, where)
    context = read_row_context(row, columns, tokenizer, where)
    return encode_assistant_turns([*prompt, *completion], context, tokenizer, control, where)


def encode_prompt(
    text: str,
    tokenizer: PreTrainedTokenizerBase,
    frame: PromptFrame = PromptFrame(),  # noqa: B008 (it is frozen)
    where: str = "the prompt",
) -> list[int]:
    """Return the ids that a prompt has in training: a user turn of the chat template, or with its special tokens.

    Args:
        text: the prompt.
        tokenizer: the model's.
        frame: the text that stood in front of every prompt in training.
        where: how an error names the prompt.

    Raises: LiftError if the tokenizer or its template cannot take the text.
    """
    control = ControlTokens(tokenizer)
    if tokenizer.chat_template is None:
        ids = _encode_plain_prompt(frame.text(text), tokenizer, control, where)
    else:
        messages = frame.messages(text)
        messages = control.mark(messages) if control.spelled_in(messages) else messages
        ids = control.encode_template(render(messages, tokenizer, where, context={}, is_prompt=True), where)
    if control.num_as_text:
        logger.warning(
            "%s spells %s, a control token of the tokenizer; it was encoded as text",
            where,
            control.spelled_in(frame.text(text)),
        )
    return ids


def read_row_context(
    row: Mapping[str, Any], columns: Columns, tokenizer: PreTrainedTokenizerBase, where: str
) -> dict[str, list[Any]]:
    """Return the tools and the documents of a row that the chat template writes.

    Raises: LiftError if a cell that the template writes is no list of objects.
    """
    named = {"tools": columns.tools, "documents": columns.documents}
    cells = {name: row[column] for name, column in named.items() if column is not None and row[column]}
    template = template_text(tokenizer, where, has_tools="tools" in cells) or ""
    read = {name: read_context(cell, f"{where}: column {name!r}") for name, cell in cells.items() if name in template}
    return {name: value for name, value in read.items() if value is not None}


def _encode_plain(
    prompt: str, completion: str, tokenizer: PreTrainedTokenizerBase, control: ControlTokens, where: str
) -> tuple[list[int], list[int]]:
    end = end_of_row(tokenizer)
    completion_ids = control.encode_words(strip_end(completion, _text(end, tokenizer)), where)
    if not completion_ids:
        raise LiftError(f"{where}: the completion is empty after tokenisation; remove the row.")
    return _encode_plain_prompt(prompt, tokenizer, control, where), completion_ids + end


def _encode_plain_prompt(
    prompt: str, tokenizer: PreTrainedTokenizerBase, control: ControlTokens, where: str
) -> list[int]:
    start = _first_set(tokenizer.bos_token_id, tokenizer.cls_token_id)
    end = _first_set(tokenizer.sep_token_id)
    prompt = strip_end(prompt.removeprefix(_text(start, tokenizer) or ""), _text(end, tokenizer))
    return start + control.encode_words(prompt, where) + end


def _text(token_ids: list[int], tokenizer: PreTrainedTokenizerBase) -> str | None:
    return str(tokenizer.convert_ids_to_tokens(token_ids)[0]) if token_ids else None


def _first_set(*token_ids: int | None) -> list[int]:
    return [token_id for token_id in token_ids if token_id is not None][:1]
