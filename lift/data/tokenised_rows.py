"""Turn a batch of rows of text into rows of token ids, and remark on what was done to each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datasets import Features, List, Value

from lift.data.chat_rows import end_of_row
from lift.data.columns import Columns
from lift.data.control_tokens import ControlTokens
from lift.data.formats import encode_every_answer, encode_row, read_row_context
from lift.data.messages import without_table_nulls
from lift.data.named_formats import apply_data_format
from lift.data.response_spans import COLUMN, Span, flatten
from lift.data.row_names import RowNames
from lift.data.unknown_tokens import count_unknown
from lift.errors import LiftError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

REMARKS = ("is_truncated", "spells_control_tokens", "loses_context", "never_ends")
"""What a caller may want to know of a row: booleans."""

COUNTS = ("num_words", "num_unknown")
"""How many tokens of a row are text, and how many of these are [UNK]."""

TOKENISED = Features(
    {
        "input_ids": List(Value("int32")),
        "prompt_length": Value("int64"),
        "example_id": Value("int64"),
        **{remark: Value("bool") for remark in REMARKS},
        **{count: Value("int64") for count in COUNTS},
    }
)


def tokenised_features(assistant_turns: str) -> Features:
    """Return the columns that `tokenise` writes: with all turns of the assistant, where these stand too."""
    return Features({**TOKENISED, COLUMN: List(Value("int64"))}) if assistant_turns == "all" else TOKENISED


def tokenise(
    batch: dict[str, list[Any]],
    indices: list[int],
    *,
    columns: Columns | None,
    features: dict[str, Any],
    data_format: str | None,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    mask_token_id: int | None,
    vocab_size: int | None,
    truncation: str,
    prompt_boundary: str,
    assistant_turns: str,
    row_names: RowNames,
) -> dict[str, list[Any]]:
    """Encode a batch of `datasets.Dataset.map`: columns, and row numbers, to those of `tokenised_features`.

    The other arguments are those of `prepare_dataset`; `columns` is None with a `data_format`, and `features` are those
    of the data set that the batch is from.

    Raises: LiftError that names the row.
    """
    out: dict[str, list[Any]] = {name: [] for name in tokenised_features(assistant_turns)}
    control = ControlTokens(tokenizer)
    names = list(batch) if columns is None else columns.names
    for index, *cells in zip(indices, *(batch[name] for name in names), strict=True):
        where = row_names(index)
        row = {name: without_table_nulls(cell, features[name]) for name, cell in zip(names, cells, strict=True)}
        if data_format is not None:
            row = apply_data_format(data_format, row, where)
        used = columns or Columns(**{name: name for name in row})
        num_as_text = control.num_as_text
        if assistant_turns == "all":
            ids, spans = encode_every_answer(row, used, tokenizer, where, control)
        else:
            prompt_ids, response_ids = encode_row(row, used, tokenizer, where, prompt_boundary, control)
            ids = prompt_ids + response_ids
            spans = [(len(prompt_ids), len(ids))]
        length, prompt_length = len(ids), spans[0][0]
        if length > max_length and truncation == "filter":
            continue
        if prompt_length >= max_length:
            raise LiftError(
                f"{where}: the prompt has {prompt_length} tokens and max_length={max_length} leaves no "
                "room for a response; raise max_length, or drop such rows with truncation='filter'."
            )
        input_ids = ids[:max_length]
        _check_ids(input_ids, spans, mask_token_id, vocab_size, where)
        out["input_ids"].append(input_ids)
        out["prompt_length"].append(prompt_length)
        if COLUMN in out:
            out[COLUMN].append(flatten(spans, max_length))
        out["example_id"].append(index)
        out["is_truncated"].append(length > max_length)
        out["spells_control_tokens"].append(control.num_as_text > num_as_text)
        for name, count in zip(COUNTS, count_unknown(input_ids, tokenizer, control), strict=True):
            out[name].append(count)
        out["loses_context"].append(_loses_context(row, used, tokenizer, where))
        out["never_ends"].append(
            tokenizer.chat_template is not None
            and not end_of_row(tokenizer)
            and control.ids.isdisjoint(ids[spans[-1][0] :][-3:])  # an end token, and white space behind it
        )
    return out


def _loses_context(row: dict[str, Any], columns: Columns, tokenizer: PreTrainedTokenizerBase, where: str) -> bool:
    cells = [row[name] for name in (columns.tools, columns.documents) if name is not None and row[name]]
    if not cells:
        return False
    return tokenizer.chat_template is None or len(read_row_context(row, columns, tokenizer, where)) < len(cells)


def _check_ids(
    input_ids: list[int], spans: list[Span], mask_token_id: int | None, vocab_size: int | None, where: str
) -> None:
    if vocab_size is not None and max(input_ids) >= vocab_size:
        raise LiftError(
            f"{where}: token id {max(input_ids)} is outside the model's vocabulary of {vocab_size}; use the "
            "tokenizer that belongs to the model, or resize the model's embeddings."
        )
    if mask_token_id is not None and any(mask_token_id in input_ids[start:end] for start, end in spans):
        raise LiftError(
            f"{where}: the response contains the mask token (id {mask_token_id}), which only noise may "
            "write; remove it from the text."
        )
