"""Several files are one table where they belong together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lift.data import load_rows
from lift.errors import LiftError


def write(path: Path, **row: object) -> Path:
    path.write_text(json.dumps(row) + "\n" if path.suffix == ".jsonl" else f"{','.join(row)}\n{','.join(row.values())}")
    return path


def test_files_of_several_formats_make_one_table(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = [
        write(tmp_path / "b.jsonl", prompt="1", completion="2"),
        write(tmp_path / "a.csv", completion="4", prompt="03"),
    ]
    rows = [{"prompt": "1", "completion": "2"}, {"prompt": "03", "completion": "4"}]
    assert load_rows(paths).to_list() == rows
    assert load_rows(str(tmp_path / "[ab].*")).to_list() == rows[::-1] and not caplog.records


def test_columns_that_only_some_files_have_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = [write(tmp_path / "a.jsonl", prompt="1", id="x"), write(tmp_path / "b.csv", prompt="2", source="y")]
    assert load_rows(paths).to_list() == [
        {"prompt": "1", "id": "x", "source": None},
        {"prompt": "2", "id": None, "source": "y"},
    ]
    (warning,) = caplog.messages
    assert warning.endswith(f"{paths[0]} lacks source; {paths[1]} lacks id")


def test_files_without_a_column_in_common_are_refused(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "a.jsonl", prompt="1", completion="2"),
        write(tmp_path / "b.csv", question="3", answer="4"),
    ]
    with pytest.raises(LiftError, match=r"b\.csv has the columns question, answer, and .*a\.jsonl has prompt, compl"):
        load_rows(paths)


def test_a_compressed_table_of_parquet_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.parquet.gz").write_bytes(b"")
    with pytest.raises(
        LiftError, match=r"or \.gz of one of text, but it is of type \.parquet\.gz; convert it first\.$"
    ):
        load_rows(tmp_path / "a.parquet.gz")
