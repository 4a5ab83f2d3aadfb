"""Text that a tokenizer does not know is refused, or named, by its share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from lift.data import prepare_dataset
from lift.errors import LiftError


def prepare(tokenizer: PreTrainedTokenizerFast, num_unknown: int) -> None:
    """Rows of unequal length: 40 words in all, and special tokens beside them, which are no text."""
    words = ["two"] * (40 - num_unknown) + ["drei"] * num_unknown
    rows = [{"prompt": " ".join(words[:3]), "completion": "two"}, {"prompt": "two", "completion": " ".join(words[3:])}]
    prepare_dataset(rows, tokenizer, max_length=99, show_progress=False)


def test_half_of_the_text_may_be_unknown_and_no_more(bert_tokenizer: PreTrainedTokenizerFast, caplog: Any) -> None:
    """42 words, as the rows have one more each."""
    prepare(bert_tokenizer, 2)
    assert not caplog.records
    prepare(bert_tokenizer, 3)
    prepare(bert_tokenizer, 21)
    shares = [message.partition("turns ")[2].partition(" of")[0] for message in caplog.messages]
    assert shares == ["7 %", "50 %"] and "into [UNK], which the model is trained to write" in caplog.text
    bert_tokenizer.name_or_path = "some/bert"
    with pytest.raises(
        LiftError,
        match=r"^the tokenizer some/bert turns 52 % of the text's tokens into \[UNK\], .*--tokenizer_name_or_p",
    ):
        prepare(bert_tokenizer, 22)


def test_an_end_token_that_is_also_the_unknown_one_says_nothing(
    word_tokenizer: Callable[..., Any], caplog: Any
) -> None:
    """As GPT-2's, whose every text is known."""
    tokenizer = word_tokenizer("[UNK] two", unk_token="[UNK]", eos_token="[UNK]")
    prepare_dataset([{"prompt": "two", "completion": "two"}], tokenizer, max_length=9, show_progress=False)
    assert not caplog.records
