"""Encode a conversation by a chat template, and find where the prompt ends and the answer ends."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from itertools import takewhile
from operator import eq
from typing import TYPE_CHECKING, Any

from lift.data.chat_template import render
from lift.data.control_tokens import ControlTokens, without_doubled_end
from lift.data.messages import Message, calls_tools, without_end_token
from lift.errors import LiftError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Render = Callable[..., str]

_PROBE = "\ufdd2"  # stands for the words of the data where only the template's own text is asked for


def encode_chat(
    prompt: list[Message],
    completion: list[Message],
    context: dict[str, list[Any]],
    tokenizer: PreTrainedTokenizerBase,
    control: ControlTokens,
    where: str,
    prompt_boundary: str,
) -> tuple[list[int], list[int]]:
    """Return the prompt ids and the response ids of a conversation.

    The prompt is the template's text of the prompt with `add_generation_prompt=True`, the response is what the whole
    conversation has behind it, without a header of yet another answer. It ends with the template's end of the turn, or,
    where the template writes none, with the tokenizer's end token.

    Raises: LiftError if the template fails, or does not extend its own prompt.
    """
    prompt, completion = (without_end_token(part, tokenizer.eos_token) for part in (prompt, completion))
    if control.spelled_in([prompt, completion, context]):
        prompt, completion, context = control.mark(prompt), control.mark(completion), control.mark(context)
    write = partial(render, tokenizer=tokenizer, where=where, context=context)
    prompt_text, full_text = write(prompt, is_prompt=True), write([*prompt, *completion], is_prompt=False)
    if not full_text.startswith(prompt_text):
        raise LiftError(
            f"{where}: the chat template writes the whole conversation differently from its prompt with "
            "add_generation_prompt=True, so no response can be told apart; use a template that only appends."
        )
    response_text, turns_text = full_text[len(prompt_text) :], write(prompt, is_prompt=False)
    opened = reopened = ""
    if turns_text == prompt_text:
        opened, reopened = unasked_headers(prompt, completion, write, tokenizer, control)
    response_text = without_doubled_end(response_text.removesuffix(reopened), control.endings)
    prompt_ids = control.encode_template(prompt_text, where)
    full_ids = control.encode_template(prompt_text + response_text, where)
    if full_ids[: len(prompt_ids)] == prompt_ids:
        response_ids = full_ids[len(prompt_ids) :]
    else:  # a token of the full text spans the boundary, and a sampler cannot start inside it
        response_ids = control.encode_template(response_text, where)
    if not is_closed(response_text, prompt, completion, reopened, write, control):
        response_ids = response_ids + end_of_row(tokenizer)
    if prompt_boundary == "user_turn_newline":
        ids = prompt_ids + response_ids
        length = len(control.encode_template(turns_text.removesuffix(opened) + "\n", where))
        return ids[:length], ids[length:]
    return prompt_ids, response_ids


def end_of_row(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the id that ends an answer, eos or else sep, as a list; an empty one if the tokenizer has neither."""
    return [token_id for token_id in (tokenizer.eos_token_id, tokenizer.sep_token_id) if token_id is not None][:1]


def unasked_headers(
    prompt: list[Message],
    completion: list[Message],
    write: Render,
    tokenizer: PreTrainedTokenizerBase,
    control: ControlTokens,
) -> tuple[str, str]:
    """Return the header of an answer that a template writes unasked, behind the prompt and behind the conversation.

    Such a template writes the same with and without `add_generation_prompt`, as LLaDA's does, and each text ends with
    what closes the last turn, then the header. The closing tokens are told from the header's by the header of the first
    message, which closes nothing. A template that opens no turn in either way has no header here.
    """
    turns = write(_probes(prompt), is_prompt=False)
    whole = write([*_probes(prompt), *_probes(completion)], is_prompt=False)
    start, tails = turns.partition(_PROBE)[0], [text.rpartition(_PROBE)[2] for text in (turns, whole)]
    role = max(start.rfind(prompt[0]["role"]), 0)  # in front of it there may be a system turn of the template's own
    start = start[max([0, *(start.rfind(token, 0, role) for token in control.endings)]) :]
    closing = [token for token in control.endings if token == tokenizer.eos_token or token not in start]
    pattern = re.compile(f"(?:{'|'.join(map(re.escape, sorted(closing, key=len, reverse=True))) or '(?!)'})+")
    opened, reopened = (tail[match.end() :] if (match := pattern.search(tail)) else tail for tail in tails)
    is_opened = whole.startswith(turns) and whole[len(turns) :].lstrip().startswith(_PROBE)
    if not opened.strip() or not (is_opened or any(token in opened for token in control.endings)):
        return "", ""
    num_shared = sum(1 for _ in takewhile(bool, map(eq, reversed(opened), reversed(reopened))))
    shared = opened[len(opened) - num_shared :]
    return opened, shared if shared.strip() else ""


def _probes(messages: list[Message]) -> list[Message]:
    found = [{**message, "content": _PROBE} for message in messages]
    return [*found[:-1], {"role": found[-1]["role"], "content": _PROBE}] if calls_tools(messages[-1]) else found


def is_closed(
    response_text: str,
    prompt: list[Message],
    completion: list[Message],
    reopened: str,
    write: Render,
    control: ControlTokens,
) -> bool:
    """Return whether the template wrote a token behind the answer, from which a model learns to stop."""
    if calls_tools(completion[-1]):
        return response_text.rstrip().endswith(tuple(control.tokens & control.endings))
    answer, written = completion[-1]["content"].strip(), response_text.lstrip()
    if len(completion) == 1 and written.startswith(answer):
        tail = written[len(answer) :]
    else:
        whole = write([*prompt, *_probes(completion)], is_prompt=False).removesuffix(reopened)
        tail = whole.rpartition(_PROBE)[2] if _PROBE in whole else response_text
    return any(token in tail for token in control.endings)
