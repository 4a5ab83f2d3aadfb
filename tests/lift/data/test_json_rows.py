from __future__ import annotations

from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from lift.data import load_rows
from lift.errors import LiftError


@pytest.mark.parametrize("row", [r'{"p": "b\ud83d"}', r'{"\udc00": 1}', r'{"p": [{"q": {"r": "\ude00\ud83d"}}]}'])
def test_half_of_a_surrogate_pair_is_found_wherever_it_stands(tmp_path: Path, row: str) -> None:
    lines = ['{"p": "a"}', "", row, r'{"p": "\ud83d\ude00 \\ud83d"}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    with pytest.raises(
        LiftError, match=r"a\.jsonl: line 3 holds \\ud[8c3e]\w\w, half of a surrogate pair, .*; correct"
    ):
        load_rows(tmp_path / "a.jsonl")
    assert len(load_rows(tmp_path / "a.jsonl", limit=1)) == 1
    (tmp_path / "a.json").write_text(f"[{lines[0]},\n{row}]")
    with pytest.raises(LiftError, match=r"a\.json: row 1 \(counted from 0\) holds \\ud"):
        load_rows(tmp_path / "a.json")


def test_whole_pairs_and_escaped_backslashes_are_text(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(r'{"p": "\ud83d\ude00 \\ud83d \u00e9"}')
    assert load_rows(tmp_path / "a.jsonl").to_list() == [{"p": "\U0001f600 \\ud83d \xe9"}]


@pytest.mark.parametrize("row", ['{"p": "a", "q": 1, "p": "b"}', '{"q": [{"p": 1, "p": 1}]}', '{"p": 1, "\\u0070": 2}'])
def test_a_key_that_stands_twice_is_found(tmp_path: Path, row: str) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"p": "a"}}\n{row}\n')
    with pytest.raises(LiftError, match=r"a\.jsonl: line 2 has the key 'p' twice in one object; keep one of them\.$"):
        load_rows(tmp_path / "a.jsonl")
    (tmp_path / "a.json").write_text(f"[{row}]")
    with pytest.raises(LiftError, match=r"a\.json has the key 'p' twice in one object"):
        load_rows(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ("[" * 100_000 + "]" * 100_000, "line 1 is nested too deeply"),
        ('{"p": ' + "9" * 5000 + "}", "line 1 cannot be read"),
    ],
)
def test_what_python_cannot_parse_is_one_sentence(tmp_path: Path, row: str, error: str) -> None:
    (tmp_path / "a.jsonl").write_text(row)
    with pytest.raises(LiftError, match=rf"a\.jsonl: {error}"):
        load_rows(tmp_path / "a.jsonl")


def test_parquet_that_is_not_utf8(tmp_path: Path) -> None:
    half = pyarrow.StringArray.from_buffers(
        1, pyarrow.py_buffer(b"\x00\x00\x00\x00\x03\x00\x00\x00"), pyarrow.py_buffer(b"\xed\xa0\xbd")
    )
    pyarrow.parquet.write_table(pyarrow.table({"p": half}), tmp_path / "a.parquet")
    with pytest.raises(LiftError, match=r"a\.parquet cannot be read: .*UTF8"):
        load_rows(tmp_path / "a.parquet")
