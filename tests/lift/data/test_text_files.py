"""Compressed files read as what they hold; damaged ones are one sentence."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from lift.data import load_rows
from lift.data.text_files import format_of
from lift.errors import LiftError

ROWS = [{"prompt": f"{i} größe", "completion": "x" * i} for i in range(400)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


@pytest.mark.parametrize(("name", "content"), [("a.jsonl.gz", LINES), ("a.JSON.GZ", json.dumps(ROWS).encode())])
def test_compressed_json_is_json(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(gzip.compress(content))
    assert load_rows(tmp_path / name).to_list() == ROWS


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.json.gz", "a.csv.gz"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[: len(data) // 2], "is cut off: its gzip data have no end; copy or compress it again"),
        (lambda data: data[:60] + b"\xff" * 9 + data[69:], "is no whole gzip file"),
        (lambda _: LINES, "is no whole gzip file"),
    ],
)
def test_damaged_files_are_one_sentence(tmp_path: Path, name: str, damage, message: str) -> None:
    cells = b"prompt\n" + b"".join(b"%d\n" % number for number in range(4000))
    (tmp_path / name).write_bytes(damage(gzip.compress(cells if "csv" in name else LINES)))
    with pytest.raises(LiftError, match=rf"{name} {message}") as caught:
        load_rows(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_the_format_is_the_suffix_before_that_of_compression() -> None:
    names = {"a.csv": ".csv", "a.b.JSONL": ".jsonl", "a.tsv.gz": ".tsv", "a.gz": "", "a.csv.zip": ".zip"}
    assert {name: format_of(Path(name)) for name in names} == names
