"""Find the token ids of [MASK] and of padding."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from lift.errors import LiftError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


logger = logging.getLogger(__name__)


class _PublishedIds(NamedTuple):
    mask: int
    pad: int


# Of the published checkpoints, by config.model_type. Their tokenizers name no mask token, or did not always.
_PUBLISHED_IDS = {
    "llada": _PublishedIds(mask=126336, pad=126081),  # <|mdm_mask|>, <|endoftext|>
    "llada_moe": _PublishedIds(mask=156895, pad=156892),  # <|mask|>, <|endoftext|>
    "llada2_moe": _PublishedIds(mask=156895, pad=156892),
    "Dream": _PublishedIds(mask=151666, pad=151643),  # <|mask|>, <|endoftext|>
}
_OTHER_NAMES = {"lladamoe": "llada_moe", "llada2_moe_veomni": "llada2_moe"}


def resolve_mask_token_id(
    tokenizer: PreTrainedTokenizerBase,
    mask_token_id: int | None = None,
    *,
    config: Any = None,
    vocab_size: int | None = None,
) -> int:
    """Return the id that replaces a masked token: the first of these that is known.

    1. `mask_token_id`, the user's choice; 2. `config.mask_token_id`, which a trained model keeps, where it is in the
    vocabulary and not just the default of the configuration's class; 3. the tokenizer's mask token; 4. that default;
    5. the id of the published LLaDA, LLaDA-MoE, LLaDA2 or Dream checkpoints, by `config.model_type`, where the
    vocabulary reaches that far. The model's name and path are never looked at.

    Args:
        tokenizer: The model's tokenizer.
        mask_token_id: The user's choice, in [0, vocab_size).
        config: The model's configuration, if it is known.
        vocab_size: Rows of the model's embedding; by default `config.vocab_size`, else `len(tokenizer)`.

    Raises: LiftError if no mask token is known, or its id lies outside the vocabulary.
    """
    size = _vocabulary(tokenizer, config, vocab_size)
    of_tokenizer, of_model = tokenizer.mask_token_id, getattr(config, "mask_token_id", None)
    if of_model is not None and of_tokenizer is not None and of_model != of_tokenizer:
        if not 0 <= of_model < size or of_model == _class_default(config):
            of_model = None  # it says nothing of this model
        elif mask_token_id is None:
            logger.info(
                "the mask token is %d, as the model's configuration has it, not the tokenizer's %d; --mask_token_id "
                "chooses another", of_model, of_tokenizer,
            )  # fmt: skip
    for found in (mask_token_id, of_model, of_tokenizer):
        if found is not None:
            if not 0 <= found < size:
                raise LiftError(f"mask_token_id must be inside the vocabulary, from 0 to {size - 1}, got {found}.")
            return int(found)
    published = _published_ids(config, size)
    if published is not None:
        return published.mask
    raise LiftError(
        "neither the tokenizer nor the model's configuration has a mask token; pass --mask_token_id with the id that "
        "the model fills in, or train with --corruption uniform, which needs none."
    )


def resolve_pad_token_id(
    tokenizer: PreTrainedTokenizerBase,
    *,
    config: Any = None,
    vocab_size: int | None = None,
    mask_token_id: int | None = None,
) -> int:
    """Return the id that fills a short row: the first of these that is known.

    1. the tokenizer's padding token; 2. `config.pad_token_id`; 3. the id of the published checkpoints, as for the mask
    token; 4. the tokenizer's end-of-sequence token. The last three are passed over where they are the mask token.

    Args:
        tokenizer, config, vocab_size: as for `resolve_mask_token_id`.
        mask_token_id: what that returned; by default the tokenizer's mask token.

    Raises: LiftError if there is none of these, or its id lies outside the vocabulary.
    """
    size = _vocabulary(tokenizer, config, vocab_size)
    published = _published_ids(config, size)
    mask = tokenizer.mask_token_id if mask_token_id is None else mask_token_id
    fallbacks = (
        getattr(config, "pad_token_id", None),
        None if published is None else published.pad,
        tokenizer.eos_token_id,
    )
    for found in (tokenizer.pad_token_id, *(token_id for token_id in fallbacks if token_id != mask)):
        if found is not None:
            if not 0 <= found < size:
                raise LiftError(
                    f"pad_token_id must be inside the vocabulary, from 0 to {size - 1}, got {found}: set "
                    "tokenizer.pad_token to one of the model's tokens."
                )
            return int(found)
    raise LiftError("the tokenizer has neither a pad token nor an eos token; set tokenizer.pad_token.")


def check_padding_is_no_mask(pad_token_id: int, mask_token_id: int) -> None:
    """Raise LiftError if padding that a model sees as text would be mask tokens, which noise alone may write."""
    if pad_token_id == mask_token_id:
        raise LiftError(
            f"the pad token and the mask token are both {mask_token_id}, and padding that is trained or attended to "
            "must not look like noise: set tokenizer.pad_token to another token, such as tokenizer.eos_token."
        )


def unknown_token_ids(tokenizer: PreTrainedTokenizerBase, vocab_size: int) -> list[int]:
    """Return the ids in [0, vocab_size) that no token has: rows of a padded head, and holes in the vocabulary."""
    known = set(tokenizer.get_vocab().values())
    return [token for token in range(vocab_size) if token not in known]


def _class_default(config: Any) -> int | None:
    """Return the mask token that every configuration of this class has from the start, as XLM's and EuroBERT's do."""
    try:
        return getattr(type(config)(), "mask_token_id", None)
    except Exception:  # a class of remote code may ask for arguments, and raise anything
        return None


def _vocabulary(tokenizer: PreTrainedTokenizerBase, config: Any, vocab_size: int | None) -> int:
    return vocab_size or getattr(config, "vocab_size", None) or len(tokenizer)


def _published_ids(config: Any, vocab_size: int) -> _PublishedIds | None:
    model_type = getattr(config, "model_type", "")
    if model_type == "llada" and hasattr(config, "num_experts"):
        model_type = "llada_moe"  # the published mixture of experts calls itself as the dense model does
    ids = _PUBLISHED_IDS.get(_OTHER_NAMES.get(model_type, model_type))
    return ids if ids is not None and max(ids) < vocab_size else None
