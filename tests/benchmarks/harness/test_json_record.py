from __future__ import annotations

import datetime
import json

import pytest

from benchmarks.harness.json_record import dated_path, write_record


def test_the_name_is_dated(tmp_path):
    assert dated_path(tmp_path, "cpu-models") == tmp_path / f"{datetime.date.today().isoformat()}-cpu-models.json"


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
