"""Open text files in UTF-8, as they are or compressed by gzip."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, cast

from lift.errors import LiftError


def format_of(path: Path) -> str:
    """Return the suffix that tells a file's format, in lower case: of rows.csv.gz it is .csv."""
    suffix = path.suffix.lower()
    return path.with_suffix("").suffix.lower() if suffix == ".gz" else suffix


@contextmanager
def open_text(path: Path, newline: str | None = None) -> Iterator[TextIO]:
    """Open a file for reading, without the mark of UTF-8 that it may begin with; `newline` as for `open`.

    Raises: LiftError if a compressed file is cut off, damaged or no gzip, wherever in it that is found.
    """
    try:
        if path.suffix.lower() == ".gz":
            with gzip.open(path, "rt", encoding="utf-8-sig", newline=newline) as file:
                yield cast(TextIO, file)
        else:
            with path.open(encoding="utf-8-sig", newline=newline) as file:
                yield file
    except EOFError:
        raise LiftError(f"{path} is cut off: its gzip data have no end; copy or compress it again.") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise LiftError(f"{path} is no whole gzip file ({error}); copy or compress it again.") from None
