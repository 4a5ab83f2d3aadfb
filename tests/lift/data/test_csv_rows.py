"""CSV and TSV: cells stay the text that they are, and a mistake has its line."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest

from lift.data import load_rows
from lift.data.csv_rows import read_csv
from lift.errors import LiftError

HARD = ["0012", "1e5", "NA", "null", "2020-01-01", "True", "", " a ", 'say "hi"', "a\nb\r\nc", "x,y\tz", "größe 🙂"]


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.csv.gz", "ROWS.TSV.GZ"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", ["utf-8", "utf-8-sig"])
def test_cells_stay_the_text_that_was_written(tmp_path: Path, name: str, ending: str, bom: str) -> None:
    path = tmp_path / name
    opened = gzip.open if name.lower().endswith(".gz") else open
    with opened(path, "wt", encoding=bom, newline="") as file:
        writer = csv.writer(file, delimiter="\t" if "tsv" in name.lower() else ",", lineterminator=ending)
        writer.writerows([["prompt", "completion"], *([cell, cell] for cell in HARD)])
    assert load_rows(path).to_list() == [{"prompt": cell, "completion": cell} for cell in HARD]
    assert load_rows(path, limit=3).to_list() == [{"prompt": cell, "completion": cell} for cell in HARD[:3]]


def test_lines_without_text_are_no_rows_and_a_cell_may_be_long(tmp_path: Path) -> None:
    (path := tmp_path / "a.csv").write_text(f"\np , c\n\n1,{'x' * 200_000}\n\n")
    before = csv.field_size_limit()
    assert read_csv(path) == [{"p": "1", "c": "x" * 200_000}]
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", 'p,c\n"a\nb",1\n1,2,3\n', r"a\.csv: line 4 has 3 cells, and the header has 2 columns \(p, c\); put"),
        ("a.csv", "p,c\n1,2\n\n1\n", r"a\.csv: line 4 has 1 cell, and the header has 2 columns"),
        ("a.tsv", "p\tc\n1\t2\t3\n", r"a\.tsv: line 2 has 3 cells, .* a cell that holds a tab or a newline\.$"),
        ("a.csv", 'p,c\n1,2\n"open,3\n4,5\n', r"a\.csv: the row at line 3 cannot be read \(unexpected end of data\)"),
        ("a.csv", 'p,c\n"a" b,3\n', r"a\.csv: the row at line 2 cannot be read \('"),
        ("a.csv", "p;c\n1;2\n", r"names one column, 'p;c': cells are separated by a comma here, and not by ';'"),
        ("a.csv", "p,,c\n1,2,3\n", r"a\.csv: column 2 has no name in the first line; give it one\.$"),
        ("a.csv", "p,c,p\n1,2,3\n", r"a\.csv: the first line names the column 'p' twice; rename or remove one\.$"),
        ("a.csv", "p,c\n", r"a\.csv has no rows; at least one is needed\.$"),
        ("a.csv", "", r"a\.csv has no rows; at least one is needed\.$"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(LiftError, match=message) as caught:
        load_rows(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_what_is_not_utf8_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("p,c\n1,größe\n".encode("cp1252"))
    with pytest.raises(LiftError, match=r"a\.csv is not UTF-8 text"):
        load_rows(tmp_path / "a.csv")
