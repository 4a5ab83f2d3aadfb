"""Small real tokenizers whose ids can be written down by hand."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from lift.data import prepare_dataset

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


@pytest.fixture
def turn_tokenizer() -> Callable[..., PreTrainedTokenizerFast]:
    """A function: a chat template, and changes to the special tokens, to a tokenizer of characters that decodes."""
    special = ["<bos>", "<pad>", "<eos>", "<unk>", "<mask>", "<turn>", "<end>"]
    names = {"bos_token": "<bos>", "pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>"}

    def build(chat_template: Any = None, **changes: str | None) -> PreTrainedTokenizerFast:
        vocabulary = {token: i for i, token in enumerate([*special, *sorted(string.printable)])}
        core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
        core.pre_tokenizer, core.decoder = pre_tokenizers.Split("", "isolated"), decoders.Fuse()
        chosen = names | {"mask_token": "<mask>"} | changes
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=core, additional_special_tokens=["<turn>", "<end>"], clean_up_tokenization_spaces=False,
            **{name: token for name, token in chosen.items() if token is not None},
        )  # fmt: skip
        tokenizer.chat_template = chat_template
        return tokenizer

    return build


@pytest.fixture
def halves() -> Callable[..., tuple[str, str]]:
    """A function: the texts of the prompt and the response that `prepare_dataset` makes of one row."""

    def prepare(row: dict[str, Any], tokenizer: PreTrainedTokenizerFast, **options: Any) -> tuple[str, str]:
        found = prepare_dataset([row], tokenizer, max_length=400, show_progress=False, **options)[0]
        ids, length = found["input_ids"], found["prompt_length"]
        return tokenizer.decode(ids[:length]), tokenizer.decode(ids[length:])

    return prepare
