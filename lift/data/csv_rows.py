"""Read rows from .csv and .tsv: every cell is text, just as it stands, and mistakes have a line."""

from __future__ import annotations

import csv
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lift.data.text_files import format_of, open_text
from lift.errors import LiftError

SEPARATORS = {".csv": ",", ".tsv": "\t"}
"""Of cells, by the file's format."""

_NAMES = {",": "a comma", "\t": "a tab"}
_SEVERAL = (",", "\t", ";", "|")
_csv_limit = threading.Lock()


def read_csv(path: Path, limit: int | None = None) -> list[dict[str, str]]:
    """Read the rows below a header; a cell is the text between separators, or between quotes (RFC 4180).

    Nothing is guessed: 0012, 1e5, NA and 2020-01-01 stay these words. An empty cell is the empty string, as CSV has no
    null. A quoted cell may hold separators, newlines, and quotes written twice. Lines without any text are skipped.

    Args:
        path: a file of the formats in `SEPARATORS`, as it is or compressed.
        limit: rows to read; by default all.

    Raises: LiftError that names the file, and the line where a row begins that has another number of cells than the
        header, or quotes that do not match.
    """
    separator = SEPARATORS[format_of(path)]
    rows: list[dict[str, str]] = []
    header: list[str] | None = None
    with open_text(path, newline="") as file, _cells_of_any_length():
        for line, cells in _lines_of_cells(path, csv.reader(file, delimiter=separator, strict=True)):
            if header is None:
                header = [name.strip() for name in cells]
                _check_header(path, header, separator)
                continue
            if len(rows) == limit:
                break
            if len(cells) != len(header):
                raise LiftError(
                    f"{path}: line {line} has {_counted(len(cells), 'cell')}, and the header has "
                    f"{_counted(len(header), 'column')} ({', '.join(header)}); put quotes around a cell that holds "
                    f"{_NAMES[separator]} or a newline."
                )
            rows.append(dict(zip(header, cells, strict=True)))
    return rows


def _lines_of_cells(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each row and the number of its first line, from 1."""
    lines = iter(reader)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            raise LiftError(
                f"{path}: the row at line {line} cannot be read ({error}): a quoted cell ends with one quote, and a "
                "quote inside it, or at the start of a cell, is written twice between quotes."
            ) from None
        if cells:
            yield line, cells


def _check_header(path: Path, header: list[str], separator: str) -> None:
    if len(header) == 1 and (other := next((mark for mark in _SEVERAL if mark in header[0]), None)) is not None:
        raise LiftError(
            f"{path}: the first line names one column, {header[0]!r}: cells are separated by {_NAMES[separator]} here, "
            f"and not by {other!r}; save it anew, or under the suffix of its format (.csv or .tsv)."
        )
    if "" in header:
        raise LiftError(f"{path}: column {header.index('') + 1} has no name in the first line; give it one.")
    name, count = Counter(header).most_common(1)[0]
    if count > 1:
        raise LiftError(f"{path}: the first line names the column {name!r} twice; rename or remove one.")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


@contextmanager
def _cells_of_any_length() -> Iterator[None]:
    """Lift the limit of 131,072 characters that the csv module has for the whole process, and put it back."""
    with _csv_limit:
        before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
        try:
            yield
        finally:
            csv.field_size_limit(before)
