from __future__ import annotations

import logging
import re
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import Dataset, DatasetDict
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from lift.data import load_rows, prepare_dataset
from lift.errors import LiftError

ROWS = [
    {"prompt": "two plus two is", "completion": "four"},  # 6 + 2 tokens with BERT's special tokens
    {"prompt": "is", "completion": "five four five"},  # 3 + 4
]


def test_rows_become_ids(bert_tokenizer: PreTrainedTokenizerFast) -> None:
    expected = [
        {"input_ids": [2, 5, 6, 5, 7, 3, 8, 3], "prompt_length": 6, "example_id": 0},
        {"input_ids": [2, 7, 3, 9, 8, 9, 3], "prompt_length": 3, "example_id": 1},
    ]
    assert prepare_dataset(ROWS, bert_tokenizer, max_length=8).to_list() == expected
    assert prepare_dataset(Dataset.from_list(ROWS), bert_tokenizer, max_length=8).to_list() == expected


def test_columns_named_by_the_user(bert_tokenizer: PreTrainedTokenizerFast) -> None:
    """Other columns are dropped, even those that share a name with the result."""
    rows = [{"q": "is", "a": "four", "input_ids": "x", "prompt_length": "y", "messages": None}]
    prepared = prepare_dataset(rows, bert_tokenizer, max_length=8, prompt_column="q", completion_column="a")
    assert prepared.to_list() == [{"input_ids": [2, 7, 3, 8, 3], "prompt_length": 3, "example_id": 0}]


def test_conversations(chat_tokenizer: PreTrainedTokenizerFast) -> None:
    turns = [{"role": "user", "content": "two"}, {"role": "assistant", "content": "four"}]
    expected = [{"input_ids": [0, 3, 6, 5, 4, 8, 5], "prompt_length": 5, "example_id": 0}]
    assert prepare_dataset([{"messages": turns}], chat_tokenizer, max_length=8).to_list() == expected
    by_name = prepare_dataset([{"chat": turns}], chat_tokenizer, max_length=8, messages_column="chat")
    assert by_name.to_list() == expected
    pair = [{"prompt": turns[:1], "completion": turns[1:]}]
    assert prepare_dataset(pair, chat_tokenizer, max_length=8).to_list() == expected


def test_long_responses_lose_their_end(
    bert_tokenizer: PreTrainedTokenizerFast, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [ROWS[1], {"prompt": "is", "completion": "two"}]
    with caplog.at_level(logging.INFO, logger="lift"):
        prepared = prepare_dataset(rows, bert_tokenizer, max_length=5)
    assert prepared["input_ids"][:] == [[2, 7, 3, 9, 8], [2, 7, 3, 5, 3]]
    assert caplog.messages == ["1 of 2 rows were truncated to fit max_length=5"]


def test_nothing_is_reported_when_every_row_fits(
    bert_tokenizer: PreTrainedTokenizerFast,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    bert_tokenizer.model_max_length = 2  # the tokenizer must not complain either: the length is decided here
    with caplog.at_level(logging.INFO, logger="lift"):
        prepare_dataset(ROWS, bert_tokenizer, max_length=8)
    assert caplog.messages == []
    assert "sequence length" not in capfd.readouterr().err


def test_filter_drops_rows_and_keeps_their_numbers(
    bert_tokenizer: PreTrainedTokenizerFast, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="lift"):
        prepared = prepare_dataset(ROWS, bert_tokenizer, max_length=7, truncation="filter")
    assert prepared.to_list() == [{"input_ids": [2, 7, 3, 9, 8, 9, 3], "prompt_length": 3, "example_id": 1}]
    assert caplog.messages == ["1 of 2 rows were dropped to fit max_length=7"]
    # A prompt that fills the row is dropped too, not an error.
    assert prepare_dataset(ROWS, bert_tokenizer, max_length=7, truncation="filter")["example_id"][:] == [1]
    with pytest.raises(LiftError, match="none of the 2 rows fits into max_length=3; raise it"):
        prepare_dataset(ROWS, bert_tokenizer, max_length=3, truncation="filter")


@pytest.mark.parametrize("max_length", [0, 5, 6])
def test_a_prompt_that_leaves_no_room(bert_tokenizer: PreTrainedTokenizerFast, max_length: int) -> None:
    message = (
        rf"row 0 \(counted from 0\): the prompt has 6 tokens and max_length={max_length} leaves no room "
        r"for a response; raise max_length, or drop"
    )
    with pytest.raises(LiftError, match=message):
        prepare_dataset(ROWS, bert_tokenizer, max_length=max_length)


def test_one_token_of_room_is_enough(bert_tokenizer: PreTrainedTokenizerFast) -> None:
    assert prepare_dataset(ROWS[:1], bert_tokenizer, max_length=7)["input_ids"][0] == [2, 5, 6, 5, 7, 3, 8]


@pytest.mark.parametrize(
    ("rows", "options", "error"),
    [
        ([], {}, r"the data set has no rows"),
        (Dataset.from_dict({"prompt": [], "completion": []}), {}, r"the data set has no rows"),
        (["two"], {}, r"row 0 must be a dictionary, got str"),
        (
            DatasetDict(),
            {},
            r"rows must be one data set or a list of dictionaries, got a dictionary; choose a split",
        ),
        ([*ROWS, {"prompt": "is"}], {}, r"row 2 .*: column 'completion' is null"),
        (
            [*ROWS, {"prompt": "is", "completion": 3}],
            {},
            r"row 2 .*: column 'completion' must be a string .*, got int",
        ),
        (
            [*ROWS, {"prompt": 3, "completion": "is"}],
            {},
            r"row 2 .*: column 'prompt' must be a string .*, got int",
        ),
        (
            [*ROWS, {"prompt": "is", "completion": ""}],
            {},
            r"row 2 \(counted from 0\): the completion is empty",
        ),
        (
            ROWS,
            {"vocab_size": 9},
            r"row 1 .*: token id 9 is outside the model's vocabulary of 9; use the tokenizer",
        ),
        (
            [{"prompt": "is", "completion": "four [MASK]"}],
            {},
            r"row 0 .*: the response contains the mask token \(id 4\)",
        ),
        (ROWS, {"mask_token_id": 9}, r"row 1 .*: the response contains the mask token \(id 9\)"),
        (
            ROWS,
            {"prompt_column": "question"},
            r"--prompt_column question: there is no such column; .* prompt, completion",
        ),
        (
            [{"question": "two", "answer": "four"}],
            {},
            r"columns question, answer, .*--prompt_column question",
        ),
        (None, {}, r"rows must be a data set or a list of dictionaries, got NoneType; read files with load_rows"),
        ("rows.jsonl", {}, r"rows must be a data set or a list of dictionaries, got str; read files with load_rows"),
        (ROWS, {"max_length": "8"}, r"prepare_dataset: max_length must be an integer, got '8'"),
        (ROWS, {"max_length": None}, r"prepare_dataset: max_length must be an integer, got None"),
        (ROWS, {"mask_token_id": 4.0}, r"prepare_dataset: mask_token_id must be an integer, got 4.0"),
        (ROWS, {"truncation": "left"}, r"truncation must be 'right' or 'filter', got 'left'"),
    ],
)
def test_bad_data_name_the_row_and_the_remedy(
    bert_tokenizer: PreTrainedTokenizerFast, rows: Any, options: dict[str, Any], error: str
) -> None:
    with pytest.raises(LiftError, match=error):
        prepare_dataset(rows, bert_tokenizer, **{"max_length": 8, **options})


def test_a_tokenizer_is_needed() -> None:
    with pytest.raises(LiftError, match="prepare_dataset: tokenizer must be one of transformers, got NoneType"):
        prepare_dataset(ROWS, None, max_length=8)  # type: ignore[arg-type]


def test_what_is_allowed_beside_the_errors(bert_tokenizer: PreTrainedTokenizerFast) -> None:
    """The largest id of the vocabulary, a mask token in the prompt, and one in what truncation removes."""
    assert len(prepare_dataset(ROWS, bert_tokenizer, max_length=8, vocab_size=10)) == 2
    row = {"prompt": "two [MASK]", "completion": "four is [MASK]"}
    assert prepare_dataset([row], bert_tokenizer, max_length=6)["input_ids"][:] == [[2, 5, 4, 3, 8, 7]]


def test_nothing_is_written_beside_a_saved_data_set(tmp_path: Path, bert_tokenizer: PreTrainedTokenizerFast) -> None:
    Dataset.from_list(ROWS).save_to_disk(tmp_path)
    before = sorted(tmp_path.iterdir())
    prepared = prepare_dataset(load_rows(tmp_path), bert_tokenizer, max_length=8)
    assert sorted(tmp_path.iterdir()) == before
    assert prepared.cache_files == []


def test_batches_and_formats_of_the_input_change_nothing(bert_tokenizer: PreTrainedTokenizerFast) -> None:
    """2500 rows are three batches of the tokeniser; row numbers must run through."""
    prepared = prepare_dataset(Dataset.from_list(ROWS * 1250).with_format("numpy"), bert_tokenizer, max_length=8)
    assert prepared["example_id"][:] == list(range(2500))
    assert Counter(prepared["prompt_length"][:]) == {6: 1250, 3: 1250}
    assert prepared[2499]["input_ids"] == [2, 7, 3, 9, 8, 9, 3]


def test_processes_agree_with_one(bert_tokenizer: PreTrainedTokenizerFast, capfd: pytest.CaptureFixture[str]) -> None:
    alone = prepare_dataset(ROWS * 5, bert_tokenizer, max_length=8).to_list()
    assert prepare_dataset(ROWS * 5, bert_tokenizer, max_length=8, num_proc=2).to_list() == alone
    assert "num_proc=2" in capfd.readouterr().err
    with pytest.raises(LiftError, match=r"row 6 .*: column 'completion' is null"):
        prepare_dataset([*ROWS * 3, {"prompt": "is"}], bert_tokenizer, max_length=8, num_proc=2)


def test_shows_its_progress(bert_tokenizer: PreTrainedTokenizerFast, capfd: pytest.CaptureFixture[str]) -> None:
    prepare_dataset(ROWS, bert_tokenizer, max_length=8)
    assert "Tokenising" in capfd.readouterr().err


def test_hides_its_progress_on_request_and_only_its_own(
    bert_tokenizer: PreTrainedTokenizerFast, capfd: pytest.CaptureFixture[str]
) -> None:
    prepare_dataset(ROWS, bert_tokenizer, max_length=8, show_progress=False)
    with pytest.raises(LiftError, match="is missing"):
        prepare_dataset([{"prompt": "is"}], bert_tokenizer, max_length=8, data_format="messages", show_progress=False)
    assert capfd.readouterr().err == ""
    assert datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        for shown in (True, False):  # a user who wants no bars gets none, and is not overruled afterwards
            prepare_dataset(ROWS, bert_tokenizer, max_length=8, show_progress=shown)
            assert not datasets.is_progress_bar_enabled()
    finally:
        datasets.enable_progress_bars()
    assert capfd.readouterr().err == ""


def test_gsm8k_against_a_tokeniser_in_one_line(shared_dir: Path) -> None:
    """Real questions and answers; the truth is a regular expression and a dictionary."""

    def words(text: str) -> list[str]:
        return re.findall(r"\w+|[^\w\s]+", text)

    rows = load_rows(shared_dir / "data" / "gsm8k_train.jsonl", limit=300)
    texts = [row["question"] + " " + row["answer"] for row in rows]
    vocabulary = [
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *sorted({word for text in texts[:200] for word in words(text)}),
    ]
    id_of = {word: i for i, word in enumerate(vocabulary)}
    core = Tokenizer(models.WordLevel(id_of, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]"
    )
    prepared = prepare_dataset(
        rows,
        tokenizer,
        max_length=160,
        prompt_column="question",
        completion_column="answer",
        vocab_size=len(vocabulary),
    )
    assert len(prepared) == 300
    for row, got in zip(rows, prepared, strict=True):
        prompt = [1, *(id_of.get(word, 0) for word in words(row["question"])), 2]
        response = [*(id_of.get(word, 0) for word in words(row["answer"])), 2]
        assert got["input_ids"] == (prompt + response)[:160]
        assert got["prompt_length"] == len(prompt)
    # The sample holds what it is meant to hold: rows cut and rows whole, words known and unknown.
    lengths = [len(ids) for ids in prepared["input_ids"]]
    assert min(lengths) < max(lengths) == 160
    assert any(0 in ids for ids in prepared["input_ids"])
