"""Tokenise rows of text into rows of token ids that the collator pads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

import datasets
from datasets import Dataset

from lift.data.chosen_template import set_chat_template
from lift.data.columns import find_columns
from lift.data.formats import ASSISTANT_TURNS, PROMPT_BOUNDARIES
from lift.data.named_formats import check_data_format
from lift.data.remarks import report
from lift.data.row_names import RowNames
from lift.data.row_table import rows_to_dataset
from lift.data.tokenised_rows import COUNTS, REMARKS, tokenise, tokenised_features
from lift.errors import LiftError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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
    assistant_turns: Literal["last", "all"] = "last",
    chat_template: str | None = None,
    chat_template_kwargs: Mapping[str, Any] | None = None,
    row_names: RowNames | None = None,
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
        assistant_turns: Which answers of a conversation are trained: the last, or all of the assistant's, as by TRL's
            `assistant_only_loss`. What stands between them is context: never masked, never trained.
        chat_template: A template for the tokenizer, which then has it and saves it: plain, chatml, llada, dream, or a
            file; by default the tokenizer's own.
        chat_template_kwargs: Values of variables that the template reads, such as {"enable_thinking": False}; they
            become its defaults, and are saved in it.
        row_names: How errors name a row, where its number alone does not say which it is; of
            `lift.data.loading.load_named_rows`.
        num_proc: Processes; by default this one.
        show_progress: Show the bar of `datasets`, unless its `disable_progress_bars` was called.

    Returns: A Dataset with the columns `input_ids` (list of ids, prompt then response), `prompt_length`
        (tokens before the first response) and `example_id` (row number before any row was dropped); with
        `assistant_turns="all"` also `response_spans`, starts and ends of the responses, one after the other.

    Raises: LiftError if there are no rows, or (naming the row and the remedy) if one cannot be trained on, or the
        tokenizer turns more than half of the text into its unknown token.

    Source: where a chat template's prompt ends, and where the published code ends it: Q18 in lift/objectives/README.md.
    """
    if truncation not in ("right", "filter"):
        raise LiftError(f"truncation must be 'right' or 'filter', got {truncation!r}.")
    if prompt_boundary not in PROMPT_BOUNDARIES:
        raise LiftError(f"prompt_boundary must be one of {', '.join(PROMPT_BOUNDARIES)}, got {prompt_boundary!r}.")
    if assistant_turns not in ASSISTANT_TURNS:
        raise LiftError(f"assistant_turns must be one of {', '.join(ASSISTANT_TURNS)}, got {assistant_turns!r}.")
    if assistant_turns == "all" and prompt_boundary != "generation_prompt":
        raise LiftError(
            f"prompt_boundary={prompt_boundary!r} is the published code's, which trains the last turn: leave it out, "
            "or assistant_turns='all'."
        )
    _check_arguments(tokenizer, max_length=max_length, mask_token_id=mask_token_id, vocab_size=vocab_size)
    dataset = rows if isinstance(rows, Dataset) else _from_dictionaries(rows)
    if len(dataset) == 0:
        raise LiftError("the data set has no rows; at least one is needed.")
    set_chat_template(tokenizer, chat_template, chat_template_kwargs)
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
            features=tokenised_features(assistant_turns),
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
                "assistant_turns": assistant_turns,
                "row_names": row_names or RowNames(),
            },
        )
    if len(tokenised) == 0:
        raise LiftError(f"none of the {len(dataset)} rows fits into max_length={max_length}; raise it.")
    report(tokenised, len(dataset), tokenizer, max_length, truncation)
    return tokenised.remove_columns([*REMARKS, *COUNTS])


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
