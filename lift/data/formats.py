"""Encode a row, whatever columns hold its text, as prompt ids and response ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError

from lift.errors import LiftError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Message = dict[str, Any]


PROMPT_BOUNDARIES = ("generation_prompt", "user_turn_newline")


@dataclass(frozen=True)
class Columns:
    """Name the columns that hold the text of a row: `messages`, or else `prompt` and `completion`."""

    prompt: str | None = None
    completion: str | None = None
    messages: str | None = None

    @property
    def names(self) -> list[str]:
        return [name for name in (self.prompt, self.completion, self.messages) if name is not None]


def find_columns(present: Sequence[str], prompt: str | None, completion: str | None, messages: str | None) -> Columns:
    """Choose the columns: the user's names first, then `prompt` and `completion`, then `messages`.

    Raises: LiftError that lists the columns present if a named one is missing or none can be found.
    """
    listed = ", ".join(present)
    named = {"prompt_column": prompt, "completion_column": completion, "messages_column": messages}
    for option, column in named.items():
        if column is not None and column not in present:
            raise LiftError(f"--{option} {column}: there is no such column; the data have the columns {listed}.")
    if messages is not None and (prompt is not None or completion is not None):
        raise LiftError("--messages_column cannot be combined with --prompt_column or --completion_column.")
    if messages is not None:
        return Columns(messages=messages)
    pair = Columns(prompt=prompt or "prompt", completion=completion or "completion")
    if all(column in present for column in pair.names):
        return pair
    if prompt is None and completion is None and "messages" in present:
        return Columns(messages="messages")
    raise LiftError(
        f"the data have the columns {listed}, and neither prompt and completion nor messages; name yours "
        "with --prompt_column and --completion_column (for instance --prompt_column question "
        "--completion_column answer), or with --messages_column."
    )


def encode_row(
    row: Mapping[str, Any],
    columns: Columns,
    tokenizer: PreTrainedTokenizerBase,
    where: str,
    prompt_boundary: str = "generation_prompt",
) -> tuple[list[int], list[int]]:
    """Return the prompt ids and the response ids of one row, special tokens included.

    With a chat template the prompt is the template's text of the prompt with `add_generation_prompt=True`,
    the response is the rest of the template's text of the whole conversation. Without one, a row is
    [bos or cls] prompt [sep] completion [eos or sep], each special token where the tokenizer has it; the
    response begins after the first sep. Either way the prompt's ids are those that a sampler starts from.

    Args:
        row: Cells by column name.
        columns: Which of them to read.
        tokenizer: A tokenizer of transformers.
        where: How an error names the row.
        prompt_boundary: One of `PROMPT_BOUNDARIES`; of chat templates. "user_turn_newline" is the published code's:
            as many ids as the prompt without the assistant's header and one newline have, so that the header counts
            as response.

    Raises: LiftError if a cell is unusable, or the template does not extend its own prompt.
    """
    if columns.messages is not None:
        messages = _messages(row[columns.messages], f"{where}: column {columns.messages!r}")
        prompt, completion = messages[:-1], messages[-1:]
        if not prompt:
            raise LiftError(f"{where}: column {columns.messages!r} must hold a prompt before the last message.")
    else:
        assert columns.prompt is not None and columns.completion is not None
        prompt = _turns(row[columns.prompt], "user", f"{where}: column {columns.prompt!r}")
        completion = _turns(row[columns.completion], "assistant", f"{where}: column {columns.completion!r}")
    if completion[-1]["role"] != "assistant":
        raise LiftError(f"{where}: the last message must be the assistant's, got role {completion[-1]['role']!r}.")
    if not completion[-1]["content"].strip():
        raise LiftError(f"{where}: the completion is empty, so there is nothing to learn; remove the row.")
    if tokenizer.chat_template is not None:
        prompt_ids, response_ids = _encode_chat(prompt, completion, tokenizer, where)
        if prompt_boundary == "user_turn_newline":
            ids = prompt_ids + response_ids
            turns = _apply_template(prompt, tokenizer, where, is_prompt=False) + "\n"
            length = len(_encode(turns, tokenizer, where))
            prompt_ids, response_ids = ids[:length], ids[length:]
        return prompt_ids, response_ids
    if not all(isinstance(row[name], str) for name in columns.names):
        raise LiftError(
            f"{where}: a list of messages needs a chat template and this tokenizer has none; set "
            "tokenizer.chat_template, or give strings in the columns prompt and completion."
        )
    return _encode_plain(prompt[0]["content"], completion[0]["content"], tokenizer, where)


def encode_prompt(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the ids that a prompt has in training: a user turn of the chat template, or with its special tokens.

    Raises: LiftError if the tokenizer or its template cannot take the text.
    """
    if tokenizer.chat_template is None:
        return _encode_prompt(text, tokenizer, "the prompt")
    prompt_text = _apply_template(_turns(text, "user", "the prompt"), tokenizer, "the prompt", is_prompt=True)
    return _encode(prompt_text, tokenizer, "the prompt")


def _turns(cell: Any, role: str, where: str) -> list[Message]:
    return [{"role": role, "content": cell}] if isinstance(cell, str) else _messages(cell, where, "a string or ")


def _messages(cell: Any, where: str, alternative: str = "") -> list[Message]:
    if cell is None:
        raise LiftError(f"{where} is null; fill the cell or remove the row.")
    if not isinstance(cell, list) or not cell:
        got = "an empty list" if cell == [] else type(cell).__name__
        raise LiftError(f"{where} must be {alternative}a list of messages, got {got}.")
    for message in cell:
        if not isinstance(message, dict) or not all(isinstance(message.get(key), str) for key in ("role", "content")):
            raise LiftError(f"{where} must hold messages with the strings role and content, got {message!r:.80}.")
    # A table gives every message the keys of all others, as nulls; templates ask whether a key is there.
    return [{key: value for key, value in message.items() if value is not None} for message in cell]


def _encode_chat(
    prompt: list[Message], completion: list[Message], tokenizer: PreTrainedTokenizerBase, where: str
) -> tuple[list[int], list[int]]:
    prompt_text = _apply_template(prompt, tokenizer, where, is_prompt=True)
    full_text = _apply_template([*prompt, *completion], tokenizer, where, is_prompt=False)
    if not full_text.startswith(prompt_text):
        raise LiftError(
            f"{where}: the chat template writes the whole conversation differently from its prompt with "
            "add_generation_prompt=True, so no response can be told apart; use a template that only appends."
        )
    prompt_ids, full_ids = _encode(prompt_text, tokenizer, where), _encode(full_text, tokenizer, where)
    if full_ids[: len(prompt_ids)] == prompt_ids:
        return prompt_ids, full_ids[len(prompt_ids) :]
    # A token of the full text spans the boundary, and a sampler cannot start inside it.
    return prompt_ids, _encode(full_text[len(prompt_text) :], tokenizer, where)


def _apply_template(messages: list[Message], tokenizer: PreTrainedTokenizerBase, where: str, *, is_prompt: bool) -> str:
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=is_prompt))
    except TemplateError as error:
        raise LiftError(f"{where}: the tokenizer's chat template rejects the messages: {error}") from error


def _encode_plain(
    prompt: str, completion: str, tokenizer: PreTrainedTokenizerBase, where: str
) -> tuple[list[int], list[int]]:
    end = _first_set(tokenizer.eos_token_id, tokenizer.sep_token_id)
    completion_ids = _encode(completion, tokenizer, where)
    if not completion_ids:
        raise LiftError(f"{where}: the completion is empty after tokenisation; remove the row.")
    return _encode_prompt(prompt, tokenizer, where), completion_ids + end


def _encode_prompt(prompt: str, tokenizer: PreTrainedTokenizerBase, where: str) -> list[int]:
    start = _first_set(tokenizer.bos_token_id, tokenizer.cls_token_id)
    return start + _encode(prompt, tokenizer, where) + _first_set(tokenizer.sep_token_id)


def _first_set(*token_ids: int | None) -> list[int]:
    return [token_id for token_id in token_ids if token_id is not None][:1]


def _encode(text: str, tokenizer: PreTrainedTokenizerBase, where: str) -> list[int]:
    try:
        # verbose=False: a row that is longer than the model takes is cut or reported by the caller.
        return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
    except Exception as error:  # the tokenizers library raises nothing narrower
        raise LiftError(f"{where}: the tokenizer cannot encode the text: {error}") from error
