from __future__ import annotations

from collections.abc import Callable

import pytest
from transformers import PreTrainedTokenizerFast

from lift.data import resolve_mask_token_id, resolve_pad_token_id
from lift.errors import LiftError


def test_mask_token(bert_tokenizer: PreTrainedTokenizerFast) -> None:
    assert resolve_mask_token_id(bert_tokenizer) == 4
    assert resolve_mask_token_id(bert_tokenizer, 0) == 0
    assert resolve_mask_token_id(bert_tokenizer, 9) == 9
    assert resolve_mask_token_id(bert_tokenizer, 11, vocab_size=12) == 11


@pytest.mark.parametrize(("token_id", "size", "last"), [(10, None, 9), (-1, None, 9), (12, 12, 11), (None, 4, 3)])
def test_mask_token_outside_the_vocabulary(
    bert_tokenizer: PreTrainedTokenizerFast, token_id: int | None, size: int | None, last: int
) -> None:
    got = 4 if token_id is None else token_id
    with pytest.raises(LiftError, match=f"inside the vocabulary, from 0 to {last}, got {got}"):
        resolve_mask_token_id(bert_tokenizer, token_id, vocab_size=size)


def test_no_mask_token(chat_tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(LiftError, match="the tokenizer has no mask token; pass --mask_token_id"):
        resolve_mask_token_id(chat_tokenizer)
    assert resolve_mask_token_id(chat_tokenizer, 1) == 1


def test_pad_token(
    bert_tokenizer: PreTrainedTokenizerFast,
    chat_tokenizer: PreTrainedTokenizerFast,
    word_tokenizer: Callable[..., PreTrainedTokenizerFast],
) -> None:
    assert resolve_pad_token_id(bert_tokenizer) == 0
    assert resolve_pad_token_id(chat_tokenizer) == 5
    both = word_tokenizer("[UNK] <e> <p>", eos_token="<e>", pad_token="<p>")
    assert resolve_pad_token_id(both) == 2
    with pytest.raises(LiftError, match=r"neither a pad token nor an eos token; set tokenizer\.pad_token"):
        resolve_pad_token_id(word_tokenizer("[UNK] a"))
