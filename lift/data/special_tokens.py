"""Which token ids stand for [MASK] and for padding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lift.errors import LiftError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def resolve_mask_token_id(
    tokenizer: PreTrainedTokenizerBase, mask_token_id: int | None = None, *, vocab_size: int | None = None
) -> int:
    """Return the id that replaces a masked token.

    Args:
        tokenizer: Its `mask_token_id` is used where no id is given.
        mask_token_id: The user's choice, in [0, vocab_size); it wins over the tokenizer's.
        vocab_size: Rows of the model's embedding; by default `len(tokenizer)`.

    Raises: LiftError if there is no mask token, or its id lies outside the vocabulary.
    """
    found = tokenizer.mask_token_id if mask_token_id is None else mask_token_id
    if found is None:
        raise LiftError("the tokenizer has no mask token; pass --mask_token_id with the id that the model fills in.")
    size = len(tokenizer) if vocab_size is None else vocab_size
    if not 0 <= found < size:
        raise LiftError(f"mask_token_id must be inside the vocabulary, from 0 to {size - 1}, got {found}.")
    return int(found)


def resolve_pad_token_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the id that fills a short row: the tokenizer's padding token, else its end-of-sequence token.

    Raises: LiftError if the tokenizer has neither.
    """
    for found in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if found is not None:
            return int(found)
    raise LiftError("the tokenizer has neither a pad token nor an eos token; set tokenizer.pad_token.")
