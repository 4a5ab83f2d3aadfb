"""Tokenizers of closed vocabularies, whose words are parted by blanks."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerFast


def word_tokenizer(tokens: Sequence[str], *, max_length: int, **special: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer whose ids are places in `tokens`; another word makes it raise.

    Args:
        tokens: all of them, special ones included.
        max_length: no row is longer; kept as `model_max_length`.
        special: names such as pad_token and eos_token, with their tokens.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({token: index for index, token in enumerate(tokens)}))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=max_length, model_input_names=["input_ids", "attention_mask"],
        **special,
    )  # fmt: skip
