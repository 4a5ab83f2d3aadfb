from __future__ import annotations

import pytest

from benchmarks.study.tokenizer import word_tokenizer


def test_ids_are_places_and_another_word_raises():
    tokenizer = word_tokenizer(["[PAD]", "a", "b"], max_length=7, pad_token="[PAD]")
    assert tokenizer("b a b")["input_ids"] == [2, 1, 2]
    assert (tokenizer.pad_token_id, tokenizer.model_max_length) == (0, 7)
    with pytest.raises(Exception, match="WordLevel error"):
        tokenizer("c")
