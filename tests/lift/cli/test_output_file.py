"""Files that a command is to write, looked at before its work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lift.cli.output_file import check_output_file, check_suffix
from lift.errors import LiftError


def test_a_file_that_can_be_written_is_left_as_it_is(tmp_path):
    (tmp_path / "old").write_text("old")
    for name in ("old", "new"):
        check_output_file(tmp_path / name, "--output")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (".", "is a folder: name a file."),
        ("none/file", "none: make it, or choose another --save."),
        (
            "/proc/file",
            "/proc/file: folder /proc may not be written (No such file or directory): choose another --save.",
        ),
    ],
)
def test_one_that_cannot_is_named_with_the_flag(tmp_path, path, words):
    with pytest.raises(LiftError, match=re.escape(words)):
        check_output_file(tmp_path / path, "--save")


def test_the_end_of_a_name():
    check_suffix(Path("a.b/c.svg"), "--plot", [".png", ".svg"])
    for name in ("c.gif", "c", "c.svg.gz"):
        with pytest.raises(LiftError, match=rf"^--plot {name} must end in .png, .svg, got '"):
            check_suffix(Path(name), "--plot", [".png", ".svg"])
