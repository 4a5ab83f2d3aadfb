"""A tokenizer of a few tokens and nothing else, for tasks that write in an alphabet of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, MASK = "[PAD]", "[MASK]"


def build_closed_tokenizer(tokens: Sequence[str], pattern: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer of [PAD] (0), [MASK] (1) and `tokens`, with nothing added around the text.

    `save_pretrained` and `AutoTokenizer.from_pretrained` carry it over; text with anything else in it makes it raise.

    Args:
        tokens: distinct, in the order of their ids from 2 on.
        pattern: regular expression whose matches are the tokens of a text.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({token: index for index, token in enumerate((PAD, MASK, *tokens))}))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        mask_token=MASK,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )
