"""Where the prompts of `lift sample` come from."""

from __future__ import annotations

import gzip
import io

import pytest

from lift import LiftError
from lift.cli.prompt_rows import read_prompts


def test_prompts_come_from_the_command_a_file_or_standard_input(tmp_path, monkeypatch):
    objects = '{"prompt": "a\\nb", "id": 7}\n\n{"prompt": ""}\n'
    rows = [{"prompt": "a\nb", "id": 7}, {"prompt": ""}]
    assert read_prompts(["x", "x"], None) == [{"prompt": "x"}, {"prompt": "x"}]
    (tmp_path / "rows.jsonl").write_text(objects)
    (tmp_path / "rows.txt").write_text("first\n\n second \n")
    (tmp_path / "rows.txt.gz").write_bytes(gzip.compress(b"first\n\n second \n"))
    assert read_prompts(None, str(tmp_path / "rows.jsonl")) == rows
    lines = [{"prompt": "first"}, {"prompt": " second "}]
    for name in ("rows.txt", "rows.txt.gz"):
        assert read_prompts(None, str(tmp_path / name)) == lines
    for text, expected in ((objects, rows), ("first\n\n second \n", lines)):
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        assert read_prompts(None, "-") == expected


def test_only_a_line_break_ends_a_line(tmp_path, monkeypatch):
    """Form feeds and U+2028 end one for str.splitlines, and JSON allows the latter in a text."""
    (tmp_path / "rows.txt").write_text("a\x0cb\u2028c\nd\n", "utf-8")
    assert read_prompts(None, str(tmp_path / "rows.txt")) == [{"prompt": "a\x0cb\u2028c"}, {"prompt": "d"}]
    monkeypatch.setattr("sys.stdin", io.StringIO('{"prompt": "b\u2028c"}\n'))
    assert read_prompts(None, "-") == [{"prompt": "b\u2028c"}]


def test_processes_do_not_share_standard_input(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(LiftError, match="several processes cannot share standard input: pass --prompts FILE"):
        read_prompts(None, "-")


def test_text_in_another_encoding_is_refused_by_its_name(tmp_path):
    (tmp_path / "rows.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(LiftError, match=r"rows.txt cannot be read as text in UTF-8"):
        read_prompts(None, str(tmp_path / "rows.txt"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"prompt": "a"}\n{"prompt": 3}\n', r"row 1 \(counted from 0\) has no text under 'prompt'"),
        ('{"question": "a"}\n', r"row 0 \(counted from 0\) has no text under 'prompt'"),
        ('{"prompt": "a"\n', r"rows.jsonl: line 1 is not valid JSON"),
        ("\n", "has no prompt: at least one is needed"),
    ],
)
def test_a_line_without_a_prompt_is_named(tmp_path, content, sentence):
    path = tmp_path / "rows.jsonl"
    path.write_text(content)
    with pytest.raises(LiftError, match=sentence):
        read_prompts(None, str(path))


def test_one_source_is_needed(tmp_path):
    with pytest.raises(LiftError, match=r"no prompt: pass --prompt TEXT, --prompts FILE, or --prompts -"):
        read_prompts(None, None)
    with pytest.raises(LiftError, match="--prompt and --prompts both say"):
        read_prompts(["x"], "-")
    with pytest.raises(LiftError, match=r"no prompts at gone.jsonl: check the path"):
        read_prompts(None, "gone.jsonl")
    (tmp_path / "rows.csv").write_text("prompt\nx\n")
    with pytest.raises(LiftError, match=r"rows.csv must end in .jsonl or .txt"):
        read_prompts(None, str(tmp_path / "rows.csv"))
