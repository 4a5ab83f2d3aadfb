"""The part of an output that is its answer, by the same order of reading for all tasks."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from lift.tasks.reading.boxes import last_box

# What ends a text, in the tokenizers of the supported models and of their relatives.
END_TOKENS = (
    "<|eot_id|>", "<|endoftext|>", "<|im_end|>", "<|end_of_text|>", "<|end|>", "<|eom_id|>", "<|role_end|>",
    "<end_of_turn>", "</s>", "<eos>", "<|eos|>", "<｜end▁of▁sentence｜>",
)  # fmt: skip
_END = re.compile("|".join(map(re.escape, END_TOKENS)))
_TAG = re.compile(r"<(/?)answer>", re.IGNORECASE)
_PHRASE = re.compile(r"\banswer\b\**\s*(?:\bis\b\s*:?|:)\**[ \t]*\n?", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?](?:[ \t]|$)")
# Characters that NFKC would merge with their neighbours: 3½ became 31/2, and 10² became 102.
_SUPERSCRIPTS = {ord(raised): digit for raised, digit in zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-", strict=True)}
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_VULGAR = re.compile("[¼½¾⅐-⅞]")


@dataclass(frozen=True)
class FinalAnswer:
    """Where an answer stands."""

    text: str
    """The answer block, or all that counts where there is none."""

    box: str | None
    """The content of its last box, None where there is none."""

    is_tagged: bool
    """Whether there is an answer block."""


def cut_at_end_token(output: str) -> str:
    """Return an output up to its first end token: what follows is no answer."""
    return _END.split(output, maxsplit=1)[0]


def plain_text(output: str) -> str:
    """Return an output up to its first end token, in NFKC: full-width digits are digits, odd spaces are spaces."""
    text = _RAISED.sub(lambda raised: "^{" + raised.group().translate(_SUPERSCRIPTS) + "}", cut_at_end_token(output))
    text = _VULGAR.sub(lambda fraction: " " + fraction.group(), text)
    return unicodedata.normalize("NFKC", text).replace("\u2044", "/").replace("\u2212", "-")


def find_answer(output: str) -> FinalAnswer:
    """Return what counts of an output.

    The last complete `<answer>...</answer>` counts, else what follows the last `<answer>`, else all; what follows
    `</answer>` never does. In it the last box. An empty block sends the search to the last box before it.
    """
    text = plain_text(output)
    start, end, is_tagged = answer_block(text)
    block = text[start:end]
    if is_tagged and not block.strip():
        return FinalAnswer("", last_box(text[:start]), is_tagged)
    return FinalAnswer(block, last_box(block), is_tagged)


def find_phrase(text: str) -> str | None:
    """Return the sentence behind the last "answer is" or "answer:", None where there is nothing."""
    phrases = list(_PHRASE.finditer(text))
    if not phrases:
        return None
    last = phrases[-1]
    line = text[last.end() :].split("\n", 1)[0].strip().lstrip("*").strip()
    end = _SENTENCE_END.search(line)
    return (line[: end.start()] if end else line) or None


def answer_block(text: str) -> tuple[int, int, bool]:
    """Return where the answer block starts and ends, and whether there is one."""
    opened: int | None = None
    complete: tuple[int, int] | None = None
    last_opened: int | None = None
    for tag in _TAG.finditer(text):
        if not tag[1]:
            opened = last_opened = tag.end()
        elif opened is not None:
            complete, opened = (opened, tag.start()), None
    if complete:
        return *complete, True
    if last_opened is not None:
        # An end tag with a slip in it ends the block as well.
        slip = text.find("</", last_opened)
        return last_opened, slip if slip >= 0 else len(text), True
    return 0, len(text), False
