"""Find the tokens that end a response, and cut there: what a model writes behind its end is no answer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from lift.data.chat_rows import end_of_row
from lift.data.chat_template import render
from lift.data.control_tokens import encode
from lift.errors import LiftError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Plain letters: no template treats them in a way of its own, and no tokenizer reads them as a control token.
_QUESTION, _ANSWER = "question", "answerwithoutend"


def end_token_ids(tokenizer: PreTrainedTokenizerBase, generation_config: Any = None) -> frozenset[int]:
    """Return the ids that end a response.

    The tokenizer's end of sequence; where it has none, the separator, which then ends each row (`encode_row`); the end
    of the assistant's turn in its chat template, where that is one control token; and what the model's generation
    configuration names. A tokenizer without any of these ends its rows with padding alone.

    Args:
        tokenizer: the model's.
        generation_config: with `eos_token_id`, one id or several; or None.
    """
    named = getattr(generation_config, "eos_token_id", None)
    named = named if isinstance(named, Sequence) else [named]
    found = {*end_of_row(tokenizer), _turn_end(tokenizer), *named} - {None}
    return frozenset(found or {tokenizer.pad_token_id} - {None})


def cut_at_end(response_ids: Sequence[int], end_ids: Collection[int]) -> list[int]:
    """Return a response up to its first end token, without it."""
    length = next((i for i, token in enumerate(response_ids) if token in end_ids), len(response_ids))
    return list(response_ids[:length])


def _turn_end(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Return the control token that the chat template writes first behind an answer, or None."""
    if not tokenizer.chat_template:
        return None
    messages = [{"role": "user", "content": _QUESTION}, {"role": "assistant", "content": _ANSWER}]
    try:
        text = render(messages, tokenizer, "", context={}, is_prompt=False)
        ids = encode(text.rpartition(_ANSWER)[2], tokenizer, "")
    except LiftError:  # a template may ask for other messages; whoever encodes a prompt with it hears of it
        return None
    control = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    return next((token for token in ids if token in control), None)
