"""Tokenise rows of text into rows of token ids that the collator pads."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

import datasets
from datasets import Dataset

from lift.data.chat_template import TEMPLATE_DATE, reads_the_clock
from lift.data.columns import find_columns
from lift.data.formats import PROMPT_BOUNDARIES
from lift.data.loading import rows_to_dataset
from lift.data.named_formats import check_data_format
from lift.data.tokenised_rows import REMARKS, TOKENISED, tokenise
from lift.errors import LiftError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)


def prepare_dataset(
    rows: Dataset | Iterable[Mapping[str, Any]],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    data_format: str | None = None,
    prompt_column: str | None = None,
    completion_column: str | None = None,
    messages_column: str | None = None,
    mask_token_id: int | None = None,
    vocab_size: int | None = None,
    truncation: Literal["right", "filter"] = "right",
    prompt_boundary: Literal["generation_prompt", "user_turn_newline"] = "generation_prompt",
    num_proc: int | None = None,
    show_progress: bool = True,
) -> Dataset:
    """Tokenise rows into prompt and response, unpadded, without noise.

    The columns are those of `data_format`, or the user's, else `prompt` and `completion` or `messages`. With a chat
    template the prompt ends exactly where `add_generation_prompt=True` ends it, and columns `tools` and `documents` are
    handed to the template; without one a row is [bos or cls] prompt [sep] completion [eos or sep], as far as the
    tokenizer has these and the text does not bring them. A template that leaves the answer's turn open gets the end
    token too. Text that spells a control token is encoded as text. A template that asks for today's date is told
    always the same. Keys that are null, as a table fills them, are left out at every depth; where a column is JSON, as
    of rows read from .jsonl, nulls below a message's own keys stay. Rows are numbered from 0 in the order given, and
    errors use the same numbers. The result stays in memory: nothing is written beside the user's files.

    Args:
        rows: A `datasets.Dataset` or dictionaries.
        tokenizer: Its chat template is applied where it has one.
        max_length: Most tokens in a row: prompt, response and special tokens together.
        data_format: One of `DATA_FORMATS`, such as "gsm8k": how a row of that public data set becomes prompt and
            response. It names its own columns. By default the columns decide.
        prompt_column: Column of the prompt, a string or a list of messages.
        completion_column: Column of the response, a string or a list of messages, the last the assistant's.
        messages_column: Column of conversations, lists of {role, content}; the last message is the response.
        mask_token_id: Id that no response may hold; by default the tokenizer's mask token, if it has one.
        vocab_size: Rows of the model's embedding; every id must be smaller. Unchecked by default.
        truncation: "right" cuts a long response at its end; "filter" drops every row that does not fit.
        prompt_boundary: Where a chat template's prompt ends: with the assistant's header ("generation_prompt", what a
            sampler starts from), or before it as in the published code ("user_turn_newline").
        num_proc: Processes; by default this one.
        show_progress: Show the bar of `datasets`, unless its `disable_progress_bars` was called.

    Returns: A Dataset with the columns `input_ids` (list of ids, prompt then response), `prompt_length`
        (tokens) and `example_id` (row number before any row was dropped).

    Raises: LiftError if there are no rows, or (naming the row and the remedy) if one cannot be trained on.

    Source: where a chat template's prompt ends, and where the published code ends it: Q18 in lift/objectives/README.md.
    """
    if truncation not in ("right", "filter"):
        raise LiftError(f"truncation must be 'right' or 'filter', got {truncation!r}.")
    if prompt_boundary not in PROMPT_BOUNDARIES:
        raise LiftError(f"prompt_boundary must be one of {', '.join(PROMPT_BOUNDARIES)}, got {prompt_boundary!r}.")
    _check_arguments(tokenizer, max_length=max_length, mask_token_id=mask_token_id, vocab_size=vocab_size)
    dataset = rows if isinstance(rows, Dataset) else _from_dictionaries(rows)
    if len(dataset) == 0:
        raise LiftError("the data set has no rows; at least one is needed.")
    if data_format is not None:
        check_data_format(data_format)
        if (prompt_column, completion_column, messages_column) != (None, None, None):
            raise LiftError(
                f"data_format={data_format!r} names its own columns: leave out prompt_column, completion_column and "
                "messages_column, or data_format."
            )
        columns = None
    else:
        columns = find_columns(dataset.column_names, prompt_column, completion_column, messages_column)
    with _progress_bars(show_progress):
        tokenised = dataset.with_format(None).map(
            tokenise,
            batched=True,
            with_indices=True,
            remove_columns=dataset.column_names,
            features=TOKENISED,
            keep_in_memory=True,
            num_proc=num_proc,
            desc="Tokenising",
            fn_kwargs={
                "columns": columns,
                "features": dict(dataset.features),
                "data_format": data_format,
                "tokenizer": tokenizer,
                "max_length": max_length,
                "mask_token_id": tokenizer.mask_token_id if mask_token_id is None else mask_token_id,
                "vocab_size": vocab_size,
                "truncation": truncation,
                "prompt_boundary": prompt_boundary,
            },
        )
    if len(tokenised) == 0:
        raise LiftError(f"none of the {len(dataset)} rows fits into max_length={max_length}; raise it.")
    _report(tokenised, len(dataset), tokenizer, max_length, truncation)
    return tokenised.remove_columns(list(REMARKS))


def _report(
    tokenised: Dataset, num_rows: int, tokenizer: PreTrainedTokenizerBase, max_length: int, truncation: str
) -> None:
    """Say what was done to the rows unasked, and what of them the model will not learn."""
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


@contextmanager
def _progress_bars(are_shown: bool) -> Iterator[None]:
    """Hide the bars of `datasets` meanwhile unless `are_shown`; it can do so only for the whole process."""
    hides = not are_shown and not datasets.are_progress_bars_disabled()
    if hides:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        if hides:
            datasets.enable_progress_bars()


def _check_arguments(tokenizer: Any, **integers: Any) -> None:
    for name, value in integers.items():
        is_missing = value is None and name != "max_length"
        if not is_missing and (isinstance(value, bool) or not isinstance(value, Integral)):
            raise LiftError(f"prepare_dataset: {name} must be an integer, got {value!r}.")
    if not callable(tokenizer):
        raise LiftError(f"prepare_dataset: tokenizer must be one of transformers, got {type(tokenizer).__name__}.")


def _from_dictionaries(rows: Any) -> Dataset:
    if isinstance(rows, Mapping):
        raise LiftError("rows must be one data set or a list of dictionaries, got a dictionary; choose a split of it.")
    if isinstance(rows, (str, bytes)) or not isinstance(rows, Iterable):
        raise LiftError(
            f"rows must be a data set or a list of dictionaries, got {type(rows).__name__}; read files with load_rows."
        )
    rows = list(rows)
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise LiftError(f"row {index} must be a dictionary, got {type(row).__name__}.")
    return rows_to_dataset(rows)
