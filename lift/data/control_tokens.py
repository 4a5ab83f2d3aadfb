"""Keep words of the data words: where a text spells a control token, it is encoded as text.

Control tokens are the special tokens of the tokenizer: beginnings, ends, turn markers, padding, the mask. In a row they
are written by the chat template or by the row's own form, and by nothing else: `print('<eos>')` in an answer must not
teach the model to stop there, nor may a question open a turn.

Inside a template's text the words of the data are found again by marks around every spelled token, noncharacters of
Unicode, which no text for interchange holds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from lift.data.surrogates import find_lone_surrogate, surrogate_sentence
from lift.errors import LiftError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
_MARKS = re.compile(f"[{_OPEN}{_CLOSE}]")


class ControlTokens:
    """The control tokens of a tokenizer as it is now; look at it anew after tokens were added."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self.num_as_text = 0
        """How many texts were encoded that spell one."""
        added = getattr(tokenizer, "added_tokens_decoder", {}).values()
        special = [token.content for token in added if token.special] + list(tokenizer.all_special_tokens)
        self.tokens = frozenset(token for token in special if token)
        """Their texts."""
        self.added = self.tokens | {token.content for token in added if token.content.strip()}
        """These, and what else the tokenizer was given whole, such as <tool_call>."""
        self._pattern = _any_of(tuple(sorted(self.tokens, key=lambda token: (-len(token), token))))

    @cached_property
    def endings(self) -> frozenset[str]:
        """Added tokens that can end a turn: all but [MASK] and [UNK]."""
        return self.added - {self._tokenizer.mask_token, self._tokenizer.unk_token}

    @cached_property
    def ids(self) -> frozenset[int]:
        """Ids of the control tokens that no text may become: all but [MASK], which has its own check, and [UNK]."""
        found: Any = self._tokenizer.convert_tokens_to_ids(list(self.tokens))
        return frozenset(found) - {self._tokenizer.mask_token_id, self._tokenizer.unk_token_id}

    def spelled_in(self, value: Any) -> str | None:
        """Return a control token that a text, or a text in nested data, spells."""
        if isinstance(value, str):
            match = self._pattern.search(value)
            return None if match is None else match.group()
        if isinstance(value, Mapping):
            parts: list[Any] = [*value.keys(), *value.values()]
        else:
            parts = list(value) if isinstance(value, (list, tuple)) else []
        return next((found for part in parts if (found := self.spelled_in(part)) is not None), None)

    def mark(self, value: Any) -> Any:
        """Return nested data with a mark at either side of each control token that its texts spell."""
        if isinstance(value, str):
            return self._pattern.sub(lambda match: f"{_OPEN}{match.group()}{_CLOSE}", _MARKS.sub("", value))
        if isinstance(value, Mapping):
            return {self.mark(key): self.mark(item) for key, item in value.items()}
        return [self.mark(item) for item in value] if isinstance(value, (list, tuple)) else value

    def encode_words(self, text: str, where: str) -> list[int]:
        """Return the ids of words of the data: no control token among them.

        Raises: LiftError if the tokenizer cannot encode the text, or knows a control token's text as an ordinary word.
        """
        spelled = self.spelled_in(text)
        if spelled is None:
            return encode(text, self._tokenizer, where)
        self.num_as_text += 1
        ids = encode(text, self._tokenizer, where, split_special_tokens=True)
        if not self.ids.isdisjoint(ids):
            raise LiftError(
                f"{where}: the text spells the control token {spelled!r}, which this tokenizer cannot write as text; "
                "remove it from the text."
            )
        return ids

    def encode_template(self, text: str, where: str) -> list[int]:
        """Return the ids of a template's text: its own control tokens are tokens, and those between marks are words."""
        if _OPEN not in text and _CLOSE not in text:
            return encode(text, self._tokenizer, where)
        if f"\\u{ord(_OPEN):x}" in text:
            raise LiftError(
                f"{where}: the text spells a control token inside what the chat template writes as escaped JSON, where "
                "it cannot be kept apart; remove it from the text."
            )
        ids: list[int] = []
        for number, piece in enumerate(re.split(f"{_OPEN}({self._pattern.pattern}){_CLOSE}", text)):
            piece = _MARKS.sub("", piece)  # a mark that lost its partner, in a template that cuts its texts
            if piece:
                encode_piece = self.encode_words if number % 2 else self._encode_own
                ids += self._continued(piece, encode_piece, where) if ids else encode_piece(piece, where)
        return ids

    def _encode_own(self, text: str, where: str) -> list[int]:
        return encode(text, self._tokenizer, where)

    def _continued(self, piece: str, encode_piece: Any, where: str) -> list[int]:
        """Encode behind a newline and take that off, where it stays one: many tokenizers write a space at a start."""
        newline, ids = self._encode_own("\n", where), encode_piece("\n" + piece, where)
        return ids[len(newline) :] if ids[: len(newline)] == newline else encode_piece(piece, where)


def without_doubled_end(text: str, endings: frozenset[str]) -> str:
    """Return a template's text without an end token of the data right before the same one of the template."""
    return _doubled(tuple(sorted(endings))).sub(r"\2", text)


def encode(text: str, tokenizer: PreTrainedTokenizerBase, where: str, **options: Any) -> list[int]:
    """Return the ids of a text as it stands, nothing added.

    Raises: LiftError if the tokenizer cannot encode it.
    """
    try:
        # verbose=False: a row that is longer than the model takes is cut or reported by the caller.
        return list(tokenizer(text, add_special_tokens=False, verbose=False, **options)["input_ids"])
    except Exception as error:  # the tokenizers library raises nothing narrower
        if (half := find_lone_surrogate(text)) is not None:
            raise LiftError(surrogate_sentence(f"{where}: the text", half)) from error
        raise LiftError(f"{where}: the tokenizer cannot encode the text: {error}") from error


@lru_cache(maxsize=16)
def _any_of(tokens: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, tokens)) or "(?!)")


@lru_cache(maxsize=16)
def _doubled(endings: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"(?:{_OPEN}({'|'.join(map(re.escape, endings)) or '(?!)'}){_CLOSE}\s*)+(\1)")
