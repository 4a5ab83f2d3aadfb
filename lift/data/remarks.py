"""What a user is told of rows that were tokenised: what was cut, changed or lost in them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from datasets import Dataset

from lift.data.chat_template import TEMPLATE_DATE, reads_the_clock
from lift.data.tokenised_rows import COUNTS, REMARKS
from lift.data.unknown_tokens import check_unknown

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)


def report(
    tokenised: Dataset, num_rows: int, tokenizer: PreTrainedTokenizerBase, max_length: int, truncation: str
) -> None:
    """Say what was done to the rows unasked, and what of them the model will not learn.

    Args:
        tokenised: rows of `tokenise`, with its remarks and counts.
        num_rows: how many there were before any was dropped.
        tokenizer, max_length, truncation: as `prepare_dataset` was given them.

    Raises: LiftError if the tokenizer does not know more than half of the text.
    """
    num_words, num_unknown = (sum(tokenised[count]) for count in COUNTS)
    check_unknown(num_words, num_unknown, tokenizer)
    count = {remark: sum(tokenised[remark]) for remark in REMARKS}
    num_changed = count["is_truncated"] if truncation == "right" else num_rows - len(tokenised)
    if num_changed:
        done = "truncated" if truncation == "right" else "dropped"
        logger.info("%d of %d rows were %s to fit max_length=%d", num_changed, num_rows, done, max_length)
    if reads_the_clock(tokenizer):
        logger.info(
            "the chat template writes today's date; it is given %s, in training and sampling, so that rows stay the "
            "same from day to day", TEMPLATE_DATE.date(),
        )  # fmt: skip
    if count["spells_control_tokens"]:
        logger.warning(
            "%d of %d rows spell control tokens of the tokenizer in their text; they were encoded as text, since only "
            "the chat template, or the form of a row, writes control tokens",
            count["spells_control_tokens"], num_rows,
        )  # fmt: skip
    if count["loses_context"]:
        logger.warning(
            "%d of %d rows have tools or documents that %s: the model trains without them",
            count["loses_context"], num_rows,
            "need a chat template, and this tokenizer has none"
            if tokenizer.chat_template is None else "the chat template does not write",
        )  # fmt: skip
    if count["never_ends"]:
        logger.warning(
            "%d of %d answers have no end token, as neither the chat template nor the tokenizer has one: nothing but "
            "padding teaches the model to stop; set tokenizer.eos_token", count["never_ends"], num_rows,
        )  # fmt: skip
