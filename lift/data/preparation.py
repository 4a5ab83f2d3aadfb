"""Tokenise rows of text into rows of token ids that the collator pads."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import datasets
from datasets import Dataset, Features, List, Value

from lift.data.formats import PROMPT_BOUNDARIES, Columns, encode_row, find_columns
from lift.data.loading import rows_to_dataset
from lift.data.named_formats import apply_data_format, check_data_format
from lift.errors import LiftError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

_FEATURES = Features(
    {
        "input_ids": List(Value("int32")),
        "prompt_length": Value("int64"),
        "example_id": Value("int64"),
        "is_truncated": Value("bool"),
    }
)


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

    The columns are those of `data_format`, or the user's, else `prompt` and `completion`, else `messages`. With a
    chat template the prompt ends exactly where `add_generation_prompt=True` ends it; without one a row is
    [bos or cls] prompt [sep] completion [eos or sep], as far as the tokenizer has these. Rows are numbered from 0 in
    the order given, and errors use the same numbers. The result stays in memory: nothing is written beside the user's
    files.

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
            _tokenise,
            batched=True,
            with_indices=True,
            remove_columns=dataset.column_names,
            features=_FEATURES,
            keep_in_memory=True,
            num_proc=num_proc,
            desc="Tokenising",
            fn_kwargs={
                "columns": columns,
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
    num_changed = sum(tokenised["is_truncated"]) if truncation == "right" else len(dataset) - len(tokenised)
    if num_changed:
        done = "truncated" if truncation == "right" else "dropped"
        logger.info("%d of %d rows were %s to fit max_length=%d", num_changed, len(dataset), done, max_length)
    return tokenised.remove_columns("is_truncated")


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


def _from_dictionaries(rows: Iterable[Mapping[str, Any]]) -> Dataset:
    if isinstance(rows, Mapping):
        raise LiftError("rows must be one data set or a list of dictionaries, got a dictionary; choose a split of it.")
    rows = list(rows)
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise LiftError(f"row {index} must be a dictionary, got {type(row).__name__}.")
    return rows_to_dataset(rows)


def _tokenise(
    batch: dict[str, list[Any]],
    indices: list[int],
    *,
    columns: Columns | None,
    data_format: str | None,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    mask_token_id: int | None,
    vocab_size: int | None,
    truncation: str,
    prompt_boundary: str,
) -> dict[str, list[Any]]:
    out: dict[str, list[Any]] = {name: [] for name in _FEATURES}
    names = list(batch) if columns is None else columns.names
    for index, *cells in zip(indices, *(batch[name] for name in names), strict=True):
        where = f"row {index} (counted from 0)"
        row = dict(zip(names, cells, strict=True))
        if data_format is not None:
            row = apply_data_format(data_format, row, where)
        used = columns or Columns(**{name: name for name in row})
        prompt_ids, response_ids = encode_row(row, used, tokenizer, where, prompt_boundary)
        length = len(prompt_ids) + len(response_ids)
        if length > max_length and truncation == "filter":
            continue
        if len(prompt_ids) >= max_length:
            raise LiftError(
                f"{where}: the prompt has {len(prompt_ids)} tokens and max_length={max_length} leaves no "
                "room for a response; raise max_length, or drop such rows with truncation='filter'."
            )
        input_ids = (prompt_ids + response_ids)[:max_length]
        _check_ids(input_ids, len(prompt_ids), mask_token_id, vocab_size, where)
        out["input_ids"].append(input_ids)
        out["prompt_length"].append(len(prompt_ids))
        out["example_id"].append(index)
        out["is_truncated"].append(length > max_length)
    return out


def _check_ids(
    input_ids: list[int], prompt_length: int, mask_token_id: int | None, vocab_size: int | None, where: str
) -> None:
    if vocab_size is not None and max(input_ids) >= vocab_size:
        raise LiftError(
            f"{where}: token id {max(input_ids)} is outside the model's vocabulary of {vocab_size}; use the "
            "tokenizer that belongs to the model, or resize the model's embeddings."
        )
    if mask_token_id is not None and mask_token_id in input_ids[prompt_length:]:
        raise LiftError(
            f"{where}: the response contains the mask token (id {mask_token_id}), which only noise may "
            "write; remove it from the text."
        )
