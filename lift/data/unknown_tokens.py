"""How much of a text a tokenizer does not know: tokens that become [UNK], of which a model learns nothing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lift.data.control_tokens import ControlTokens
from lift.errors import LiftError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

_REFUSED, _NAMED = 0.5, 0.05  # shares of a data set's tokens above which it is refused, and named


def count_unknown(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase, control: ControlTokens) -> tuple[int, int]:
    """Return how many tokens of a row are text, and how many of these the tokenizer does not know.

    Some tokenizers call their end token their unknown one too; they know every text.
    """
    words = [token for token in ids if token not in control.ids]
    unknown = tokenizer.unk_token_id
    others = (tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.sep_token_id)
    return len(words), 0 if unknown is None or unknown in others else words.count(unknown)


def check_unknown(num_words: int, num_unknown: int, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise LiftError if the tokenizer does not know more than half of a data set, and warn from one token in 20."""
    share = num_unknown / max(num_words, 1)
    name = f"the tokenizer {tokenizer.name_or_path}".strip()
    if share > _REFUSED:
        raise LiftError(
            f"{name} turns {100 * share:.0f} % of the text's tokens into {tokenizer.unk_token}, so little is left to "
            "learn: take a model whose tokenizer knows this language, or name the model's own by "
            "--tokenizer_name_or_path."
        )
    if share > _NAMED:
        logger.warning(
            "%s turns %.0f %% of the text's tokens into %s, which the model is trained to write too",
            name, 100 * share, tokenizer.unk_token,
        )  # fmt: skip
