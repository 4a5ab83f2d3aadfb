"""Small real tokenizers whose ids can be written down by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message.role }}|> {{ message.content }} <|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|> {% endif %}"
)


@pytest.fixture
def word_tokenizer() -> Callable[..., PreTrainedTokenizerFast]:
    """A function: a space-separated vocabulary, in id order, to a tokenizer of words."""

    def build(vocabulary: str, chat_template: str | None = None, **special: str) -> PreTrainedTokenizerFast:
        core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary.split())}, unk_token="[UNK]"))
        core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, **special)
        tokenizer.chat_template = chat_template
        return tokenizer

    return build


@pytest.fixture
def bert_tokenizer(word_tokenizer: Callable[..., PreTrainedTokenizerFast]) -> PreTrainedTokenizerFast:
    """Ids: [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3, [MASK] 4, two 5, plus 6, is 7, four 8, five 9."""
    tokenizer = word_tokenizer(
        "[PAD] [UNK] [CLS] [SEP] [MASK] two plus is four five",
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
    # As BERT's own tokenizer does, unless it is asked not to.
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


@pytest.fixture
def chat_tokenizer(word_tokenizer: Callable[..., PreTrainedTokenizerFast]) -> PreTrainedTokenizerFast:
    """Ids: <s> 0, [UNK] 1, system 2, user 3, assistant 4, end 5, two 6, plus 7, four 8, five 9."""
    return word_tokenizer(
        "<s> [UNK] <|system|> <|user|> <|assistant|> <|end|> two plus four five",
        CHAT_TEMPLATE,
        bos_token="<s>",
        unk_token="[UNK]",
        eos_token="<|end|>",
        additional_special_tokens=["<|system|>", "<|user|>", "<|assistant|>"],
    )


@pytest.fixture
def char_tokenizer() -> PreTrainedTokenizerFast:
    """Ids: [PAD] 0, [MASK] 1, then the digits 1 to 4; no other special token, and no unknown token."""
    core = Tokenizer(models.WordLevel({token: i for i, token in enumerate(["[PAD]", "[MASK]", *"1234"])}))
    core.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token="[PAD]", mask_token="[MASK]")
