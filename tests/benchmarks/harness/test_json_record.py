from __future__ import annotations

import datetime
import json

import pytest

from benchmarks.harness.json_record import append_line, dated_path, unused, write_record


def test_the_name_is_dated(tmp_path):
    assert dated_path(tmp_path, "cpu-models") == tmp_path / f"{datetime.date.today().isoformat()}-cpu-models.json"


def test_no_file_is_written_over(tmp_path):
    path = tmp_path / "a.json"
    assert unused(path) == path
    for name in ("a.json", "a-2.json"):
        (tmp_path / name).touch()
    assert unused(path) == tmp_path / "a-3.json"


def test_a_line_is_on_disk_at_once(tmp_path):
    path = tmp_path / "new" / "a.jsonl"
    append_line(path, {"a": 1})
    append_line(path, {"b": float("nan")})
    assert path.read_text() == '{"a": 1}\n{"b": "nan"}\n'


def test_what_json_has_no_number_for_becomes_a_word(tmp_path):
    path = tmp_path / "new" / "a.json"
    write_record(path, {"a": float("nan"), "b": [float("inf"), {"c": (-float("inf"), 1.5)}]})
    assert json.loads(path.read_text()) == {"a": "nan", "b": ["inf", {"c": ["-inf", 1.5]}]}
    assert [file.name for file in path.parent.iterdir()] == ["a.json"]


def test_a_write_that_fails_leaves_the_file_before(tmp_path):
    path = tmp_path / "a.json"
    write_record(path, {"a": 1})
    with pytest.raises(TypeError):
        write_record(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
