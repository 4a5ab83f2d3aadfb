from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast, XLMConfig

from lift.data import resolve_mask_token_id, resolve_pad_token_id, unknown_token_ids
from lift.data.special_tokens import check_padding_is_no_mask
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
    with pytest.raises(LiftError, match="has a mask token; pass --mask_token_id"):
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


def test_no_fallback_pads_with_the_mask_token(word_tokenizer) -> None:
    plain = word_tokenizer("[UNK] <e> a", eos_token="<e>")
    known = SimpleNamespace(model_type="bert", vocab_size=3, pad_token_id=2)
    assert resolve_pad_token_id(plain, config=known) == 2
    assert resolve_pad_token_id(plain, config=known, mask_token_id=2) == 1
    with pytest.raises(LiftError, match="neither a pad token"):
        resolve_pad_token_id(plain, mask_token_id=1)
    by_its_tokenizer = word_tokenizer("[UNK] <m> <e>", mask_token="<m>", eos_token="<e>")
    assert resolve_pad_token_id(by_its_tokenizer, config=SimpleNamespace(vocab_size=3, pad_token_id=1)) == 2
    chosen = word_tokenizer("[UNK] <m> <e>", mask_token="<m>", pad_token="<m>", eos_token="<e>")
    assert resolve_pad_token_id(chosen) == 1  # the user's own choice, which is refused where it matters
    check_padding_is_no_mask(2, 1)
    with pytest.raises(LiftError, match=r"the pad token and the mask token are both 1, .* set tokenizer\.pad_token"):
        check_padding_is_no_mask(1, 1)


def config(model_type: str, **fields) -> SimpleNamespace:
    return SimpleNamespace(model_type=model_type, **({"vocab_size": 200_000} | fields))


PUBLISHED = [
    (config("llada"), 126336, 126081),
    (config("llada", num_experts=64), 156895, 156892),
    (config("llada_moe"), 156895, 156892),
    (config("lladamoe", num_experts=64), 156895, 156892),
    (config("llada2_moe"), 156895, 156892),
    (config("llada2_moe_veomni"), 156895, 156892),
    (config("Dream"), 151666, 151643),
]


@pytest.mark.parametrize(("config", "mask", "pad"), PUBLISHED, ids=lambda x: getattr(x, "model_type", None))
def test_published_models_are_known(word_tokenizer, config, mask, pad) -> None:
    plain = word_tokenizer("[UNK] a")
    assert resolve_mask_token_id(plain, config=config) == mask
    assert resolve_pad_token_id(plain, config=config) == pad
    with pytest.raises(LiftError, match="pass --mask_token_id"):
        resolve_mask_token_id(plain, config=config, vocab_size=mask)
    with pytest.raises(LiftError, match="neither a pad token"):
        resolve_pad_token_id(plain, config=config, vocab_size=pad)


def test_the_order_of_the_sources(word_tokenizer, bert_tokenizer) -> None:
    plain = word_tokenizer("[UNK] <e> a", eos_token="<e>")
    known = config("llada", mask_token_id=7, pad_token_id=8)
    assert resolve_mask_token_id(bert_tokenizer, 9, config=known) == 9
    assert resolve_mask_token_id(bert_tokenizer, config=known) == 7  # what a run was trained with
    assert resolve_mask_token_id(bert_tokenizer, config=config("bert")) == 4
    assert resolve_mask_token_id(plain, config=known) == 7
    assert resolve_pad_token_id(bert_tokenizer, config=known) == 0
    assert resolve_pad_token_id(plain, config=known) == 8
    assert resolve_pad_token_id(plain, config=config("llada")) == 126081
    assert resolve_pad_token_id(plain, config=config("llada", vocab_size=99)) == 1
    assert resolve_pad_token_id(plain, config=config("bert", pad_token_id=None)) == 1


def test_a_mask_token_that_says_nothing_of_the_model_yields_to_the_tokenizer(bert_tokenizer, word_tokenizer) -> None:
    """Every configuration of XLM's class has 0, and one that lies outside the vocabulary is a larger model's."""
    assert XLMConfig().mask_token_id == 0 and XLMConfig(n_words=10).vocab_size == 10
    assert resolve_mask_token_id(bert_tokenizer, config=XLMConfig(n_words=10)) == 4
    assert resolve_mask_token_id(bert_tokenizer, config=XLMConfig(n_words=10, mask_token_id=7)) == 7
    assert resolve_mask_token_id(word_tokenizer("[UNK] a"), config=XLMConfig(n_words=10)) == 0
    assert resolve_mask_token_id(bert_tokenizer, config=config("Dream", vocab_size=10, mask_token_id=151666)) == 4


def test_it_is_said_where_model_and_tokenizer_name_two_mask_tokens(bert_tokenizer, caplog) -> None:
    caplog.set_level("INFO", logger="lift")
    resolve_mask_token_id(bert_tokenizer, config=config("bert", mask_token_id=4))
    resolve_mask_token_id(bert_tokenizer, 5, config=config("bert", mask_token_id=7))
    assert not caplog.messages
    resolve_mask_token_id(bert_tokenizer, config=config("bert", mask_token_id=7))
    assert "the mask token is 7, as the model's configuration has it, not the tokenizer's 4" in caplog.messages[0]


def test_ids_without_a_token(word_tokenizer) -> None:
    tokenizer = word_tokenizer("[UNK] a b")
    assert unknown_token_ids(tokenizer, 3) == [] and unknown_token_ids(tokenizer, 5) == [3, 4]
    tokenizer.add_tokens(["<new>"])
    assert unknown_token_ids(tokenizer, 5) == [4]
    holes = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"a": 0, "b": 3}, unk_token="a")))
    assert unknown_token_ids(holes, 6) == [1, 2, 4, 5]


def test_neither_name_nor_path_is_looked_at(word_tokenizer) -> None:
    plain = word_tokenizer("[UNK] a")
    plain.name_or_path = "GSAI-ML/LLaDA-8B-Base"
    with pytest.raises(LiftError, match="neither the tokenizer nor the model's configuration has a mask token"):
        resolve_mask_token_id(plain, config=config("qwen2", _name_or_path="Dream-org/Dream-v0-Base-7B"))


def test_a_config_that_names_a_token_outside_the_vocabulary_is_refused(word_tokenizer) -> None:
    plain, broken = word_tokenizer("[UNK] a"), config("Dream", vocab_size=64, mask_token_id=151666, pad_token_id=151643)
    with pytest.raises(LiftError, match="mask_token_id must be inside the vocabulary, from 0 to 63, got 151666"):
        resolve_mask_token_id(plain, config=broken)
    with pytest.raises(LiftError, match=r"pad_token_id must be inside .*, got 151643: set tokenizer\.pad_token"):
        resolve_pad_token_id(plain, config=broken)
