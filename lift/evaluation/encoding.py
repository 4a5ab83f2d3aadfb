"""From the texts of a harness to token ids."""

from __future__ import annotations

from typing import Any

from lift.data import encode_prompt


def encode_context(text: str, tokenizer: Any, *, is_rendered: bool) -> list[int]:
    """Return the ids of a prompt to be answered.

    Args:
        text: the prompt.
        tokenizer: the model's.
        is_rendered: a chat template made the text, control tokens included. Else it stands as in training: with the
            tokenizer's special tokens around it.
    """
    if is_rendered:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])
    if tokenizer.chat_template is None:
        return encode_prompt(text, tokenizer)
    return list(tokenizer(text)["input_ids"])


def encode_pair(context: str, continuation: str, tokenizer: Any, *, is_rendered: bool) -> tuple[list[int], list[int]]:
    """Return the ids of a context and of what is to be scored behind it.

    The text is tokenised as a whole, and cut where the continuation begins; spaces at the context's end go to the
    continuation, and so does a token that reaches across the cut. Only the token that begins every text of the
    tokenizer stands before.
    """
    stripped = context.rstrip(" ")
    text, cut = context + continuation, len(stripped)
    start = (
        []
        if is_rendered
        else [token for token in (tokenizer.bos_token_id, tokenizer.cls_token_id) if token is not None]
    )
    if getattr(tokenizer, "is_fast", False):
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids, offsets = list(encoded["input_ids"]), encoded["offset_mapping"]
        num_context = next((i for i, (_, end) in enumerate(offsets) if end > cut), len(ids))
    else:
        ids = list(tokenizer(text, add_special_tokens=False)["input_ids"])
        num_context = min(len(tokenizer(stripped, add_special_tokens=False)["input_ids"]), len(ids) - 1)
    start = start[:1] if start[:1] != ids[:1] else []
    return [*start, *ids[:num_context]], ids[num_context:]


def windows(ids: list[int], max_length: int) -> list[tuple[list[int], list[int]]]:
    """Cut a long text into (context, part to be scored); each token is scored once, behind what comes before it.

    The first window is scored whole, and of every later one the second half, behind the first half in clear.
    """
    found: list[tuple[list[int], list[int]]] = [([], ids[:max_length])] if ids else []
    stride = max(1, max_length // 2)
    for start in range(max_length, len(ids), stride):
        found.append((ids[max(0, start - (max_length - stride)) : start], ids[start : start + stride]))
    return found


def cut_at_stop(text: str, stops: Any) -> str:
    """Return a text up to the first occurrence of any stop string; empty ones are none."""
    words = [stops] if isinstance(stops, str) else list(stops or ())
    return text[: min([at for word in words if word and (at := text.find(word)) >= 0], default=len(text))]
