from __future__ import annotations

import pytest

from benchmarks.harness.own_process import answer_of


def test_the_answer_is_the_last_line(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_text('{"first": 0}\n[1, 2.5]\n')
    assert answer_of("json.tool", "--json-lines", "--compact", str(path)) == [1, 2.5]


def test_a_failure_says_what_was_said():
    with pytest.raises(RuntimeError, match=r"json\.tool no/such/file: [\s\S]*No such file"):
        answer_of("json.tool", "no/such/file")
