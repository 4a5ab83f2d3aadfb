"""A tokenizer of given tokens alone."""

from __future__ import annotations

import pytest
from transformers import AutoTokenizer

from lift.tasks.closed_tokenizer import build_closed_tokenizer


def test_it_reads_its_tokens_by_the_pattern_and_survives_saving(tmp_path):
    build_closed_tokenizer(["10", "1", "go{"], r"go\{|\d+").save_pretrained(tmp_path)
    for tokenizer in (build_closed_tokenizer(["10", "1", "go{"], r"go\{|\d+"), AutoTokenizer.from_pretrained(tmp_path)):
        assert (tokenizer.pad_token_id, tokenizer.mask_token_id, len(tokenizer)) == (0, 1, 5)
        assert tokenizer.unk_token is None and tokenizer.eos_token is None
        encoded = tokenizer("go{10[MASK]1go{")
        assert encoded["input_ids"] == [4, 2, 1, 3, 4] and "token_type_ids" not in encoded
        assert tokenizer.decode(encoded["input_ids"]) == "go{10[MASK]1go{"
        with pytest.raises(Exception, match="WordLevel"):
            tokenizer("11")
