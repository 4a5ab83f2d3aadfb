from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub.constants
import pyarrow
import pyarrow.parquet
import pytest
from datasets import Dataset, DatasetDict

from lift.data import load_rows
from lift.errors import LiftError

ROWS = [{"prompt": f"question {i}", "completion": f"answer {i}"} for i in range(3)]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    """Write rows in the format of the suffix, without the code under test."""
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, indent=1))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def hub_is_asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """Stand in for the Hub: a data set of two splits, and the list of what was asked of it."""
    asked: list[tuple[object, ...]] = []
    splits = DatasetDict(train=Dataset.from_list(ROWS), test=Dataset.from_list(ROWS[:1]))

    def load_dataset(source: str, name: str | None, split: str | None) -> Dataset | DatasetDict:
        asked.append((source, name, split))
        return splits if split is None else splits[split]

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return asked


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet"])
@pytest.mark.parametrize("kind", [str, Path])
def test_reads_each_file_format(tmp_path: Path, suffix: str, kind: type) -> None:
    path = write(tmp_path / f"rows{suffix}", ROWS)
    assert load_rows(kind(path)).to_list() == ROWS
    assert load_rows(kind(path), limit=2).to_list() == ROWS[:2]
    assert load_rows(kind(path), limit=9, split="train").to_list() == ROWS


def test_reads_a_saved_data_set_and_its_splits(tmp_path: Path) -> None:
    Dataset.from_list(ROWS).save_to_disk(tmp_path / "plain")
    DatasetDict(test=Dataset.from_list(ROWS[:1]), train=Dataset.from_list(ROWS)).save_to_disk(tmp_path / "splits")
    DatasetDict(test=Dataset.from_list(ROWS[:1])).save_to_disk(tmp_path / "one")
    assert load_rows(tmp_path / "plain").to_list() == ROWS
    assert load_rows(tmp_path / "splits").to_list() == ROWS
    assert load_rows(tmp_path / "splits", split="test").to_list() == ROWS[:1]
    assert load_rows(tmp_path / "one").to_list() == ROWS[:1]
    with pytest.raises(LiftError, match=r"splits has no split 'dev'; it has test, train\.$"):
        load_rows(tmp_path / "splits", split="dev")
    with pytest.raises(LiftError, match=r"plain holds one data set without splits, got split='test'"):
        load_rows(tmp_path / "plain", split="test")


def test_asks_which_split_when_there_is_no_train(tmp_path: Path) -> None:
    DatasetDict(a=Dataset.from_list(ROWS), b=Dataset.from_list(ROWS)).save_to_disk(tmp_path / "saved")
    with pytest.raises(LiftError, match=r"has the splits a, b and none is called train; choose one of them as split"):
        load_rows(tmp_path / "saved")


def test_joins_several_files_in_order(tmp_path: Path) -> None:
    first, second = write(tmp_path / "b.jsonl", ROWS[:2]), write(tmp_path / "a.jsonl", ROWS[2:])
    write(tmp_path / "c.parquet", ROWS[:1])
    assert load_rows(str(tmp_path / "*.jsonl")).to_list() == ROWS[2:] + ROWS[:2]
    assert load_rows([first, str(second), tmp_path / "c.parquet"]).to_list() == ROWS + ROWS[:1]
    assert load_rows([first, second], limit=1).to_list() == ROWS[:1]
    with pytest.raises(LiftError, match=r"no file matches .*\*\.txt; check the pattern"):
        load_rows(str(tmp_path / "*.txt"))


def test_rejects_files_whose_columns_disagree(tmp_path: Path) -> None:
    numbers = write(tmp_path / "numbers.jsonl", [{"prompt": [1], "completion": "x"}])
    with pytest.raises(LiftError, match=r"numbers\.jsonl, .*text\.jsonl differ in the types of their columns"):
        load_rows([numbers, write(tmp_path / "text.jsonl", ROWS)])


def test_json_keeps_what_a_guess_of_types_would_change(tmp_path: Path) -> None:
    """Dates stay strings, absent keys are null, mixed types stay, Unicode separators end no line."""
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '\ufeff{"prompt": "2020-01-01", "id": 7}\n\n  \n{"prompt": "a\u2028b", "extra": {"k": [1]}, "id": "x"}\n',
        encoding="utf-8",
    )
    assert load_rows(path).to_list() == [
        {"prompt": "2020-01-01", "id": 7, "extra": None},
        {"prompt": "a\u2028b", "id": "x", "extra": {"k": [1]}},
    ]


def test_reads_json_lines_under_the_suffix_of_json(tmp_path: Path) -> None:
    assert load_rows(write(tmp_path / "rows.jsonl", ROWS).rename(tmp_path / "rows.json")).to_list() == ROWS


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "a.jsonl",
            b'{"p": 1}\n\n{"p": \n',
            r"a\.jsonl: line 3 is not valid JSON \(Expecting value at column 6\)",
        ),
        ("a.jsonl", b'{"p": 1}\n[2]\n', r"a\.jsonl: line 2 must hold one JSON object, got list"),
        (
            "a.json",
            b'[{"p": 1},\n {"p": }]',
            r"a\.json: line 2 is not valid JSON \(Expecting value at column 8\)",
        ),
        ("a.json", b'{"p": 1}\n{"p": 1\n', r"a\.json: line 2 is not valid JSON"),
        ("a.json", b'{"data": [{"p": 1}]}', r"a\.json must hold a list of JSON objects"),
        ("a.json", b"{}", r"a\.json must hold a list of JSON objects"),
        ("a.json", b"[1, 2]", r"a\.json must hold a list of JSON objects"),
        ("a.jsonl", b'{"p": "\xff"}', r"a\.jsonl is not UTF-8 text \(invalid start byte at byte 7\)"),
        ("a.jsonl", b'{"p": 99999999999999999999}', r"a\.jsonl cannot be read: "),
        ("a.parquet", b"not parquet", r"a\.parquet cannot be read: "),
        (
            "a.txt",
            b"p,c\n1,2\n",
            r"a\.txt must be a file of type \.jsonl, \.json, \.csv, \.tsv, \.parquet, .*, but it is of type \.txt",
        ),
        ("rows", b"{}", r"rows must be a file of type .*, but it is of type unknown"),
        ("a.jsonl", b"", r"a\.jsonl has no rows"),
        ("a.json", b"", r"a\.json has no rows"),
        ("a.json", b"[]", r"a\.json has no rows"),
        ("a.jsonl", b"\n", r"a\.jsonl has no rows"),
    ],
)
def test_bad_files_are_one_sentence(tmp_path: Path, file: str, content: bytes, message: str) -> None:
    (tmp_path / file).write_bytes(content)
    with pytest.raises(LiftError, match=message) as caught:
        load_rows(str(tmp_path / file))
    assert "\n" not in str(caught.value)


def test_limit_reads_no_further_than_it_must(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"p": 1}\n{"p": 2}\nbroken\n')
    assert load_rows(path, limit=2).to_list() == [{"p": 1}, {"p": 2}]
    with pytest.raises(LiftError, match="line 3 is not valid JSON"):
        load_rows(path, limit=3)
    with pytest.raises(LiftError, match="limit must be at least 1 row, got 0"):
        load_rows(path, limit=0)


def test_empty_data_sets_are_named(tmp_path: Path) -> None:
    empty = Dataset.from_dict({"prompt": [], "completion": []})
    empty.save_to_disk(tmp_path / "saved")
    with pytest.raises(LiftError, match="saved has no rows; at least one is needed"):
        load_rows(tmp_path / "saved")
    empty.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(LiftError, match=r"a\.parquet has no rows"):
        load_rows([write(tmp_path / "b.parquet", ROWS), tmp_path / "a.parquet"])
    with pytest.raises(LiftError, match="the list of files is empty; name at least one"):
        load_rows([])


@pytest.mark.parametrize("form", ["folder", "file"])
def test_a_folder_that_is_no_saved_data_set(tmp_path: Path, form: str) -> None:
    if form == "folder":
        with pytest.raises(LiftError, match=r"is a folder that save_to_disk did not write; name files"):
            load_rows(tmp_path)
    else:
        for marker in ("state.json", "dataset_info.json"):
            (tmp_path / marker).write_text("{")
        with pytest.raises(LiftError, match=r"cannot be read as a saved data set: "):
            load_rows(tmp_path)


def test_a_folder_among_files(tmp_path: Path) -> None:
    (folder := tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(LiftError, match=r"must be a file of type .*, but it is a folder; convert it first"):
        load_rows([write(tmp_path / "rows.jsonl", ROWS), folder])


def test_a_path_may_start_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "rows.jsonl", ROWS)
    assert load_rows("~/rows.jsonl").to_list() == ROWS


def test_files_have_no_splits_and_no_configurations(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", ROWS)
    with pytest.raises(LiftError, match=r"rows\.jsonl has no splits, got split='test'"):
        load_rows(path, split="test")
    with pytest.raises(LiftError, match=r"name='main' selects a configuration of a Hub data set, but .* is a path"):
        load_rows(path, name="main")


@pytest.mark.parametrize(
    "source",
    [
        "missing.jsonl",
        "owner/missing.json",
        "./missing",
        "../missing",
        "/missing",
        "~/missing",
        "a/b/c",
        "here/missing",
    ],
)
def test_a_missing_path_never_asks_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub_is_asked: list[tuple[object, ...]], source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    with pytest.raises(LiftError, match=rf"^file not found: {source}; check the path"):
        load_rows(source)
    assert hub_is_asked == []


def test_what_exists_here_is_not_looked_for_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub_is_asked: list[tuple[object, ...]]
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("rows", "owner/rows"):
        Dataset.from_list(ROWS[:1]).save_to_disk(folder)
        assert load_rows(folder).to_list() == ROWS[:1]
    assert hub_is_asked == []


def test_hub_ids_reach_datasets_with_name_and_split(hub_is_asked: list[tuple[object, ...]]) -> None:
    assert load_rows("openai/gsm8k", name="main", split="test").to_list() == ROWS[:1]
    assert load_rows("squad", limit=2).to_list() == ROWS[:2]
    assert load_rows("simplescaling/s1K-1.1").to_list() == ROWS
    assert hub_is_asked == [
        ("openai/gsm8k", "main", "test"),
        ("squad", None, None),
        ("simplescaling/s1K-1.1", None, None),
    ]


def test_the_hub_out_of_reach_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(LiftError, match=r"no file or folder openai/gsm8k, .*Hub could not be asked") as caught:
        load_rows("openai/gsm8k", name="main")
    assert "unset HF_HUB_OFFLINE" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_refusal_of_the_hub_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(source: str, name: str | None, split: str | None) -> Dataset:
        raise ValueError("Unknown split \"dev\". Should be one of ['train'].\nMore lines of advice.")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(LiftError, match=r"could not be loaded from the Hugging Face Hub: Unknown split \"dev\".*\]\.$"):
        load_rows("openai/gsm8k", split="dev")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"source": None}, "source must be a path, a Hub id, or a list of them, got None"),
        ({"source": 3}, "source must be a path, a Hub id, or a list of them, got int"),
        ({"source": b"a.jsonl"}, "source must be a path, .*, got bytes"),
        ({"source": {"train": "a.jsonl"}}, "source must be a path, .*, got dict"),
        ({"source": ["a.jsonl", None]}, "source must be a path, .*, got None"),
        ({"source": ""}, "source must be a path, .*, got ''"),
        ({"source": "a.jsonl", "split": 1}, "split must be a string, got int"),
        ({"source": "a/b", "name": ["x"]}, "name must be a string, got list"),
        ({"source": "a.jsonl", "limit": "3"}, "limit must be a whole number of rows, got '3'"),
        ({"source": "a.jsonl", "limit": 2.5}, "limit must be a whole number of rows, got 2.5"),
        ({"source": "a.jsonl", "limit": True}, "limit must be a whole number of rows, got True"),
    ],
)
def test_arguments_of_a_wrong_type_are_named(options: dict[str, Any], error: str) -> None:
    with pytest.raises(LiftError, match=f"^load_rows: {error}"):
        load_rows(**options)
