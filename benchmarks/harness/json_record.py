"""The files of a run: a dated name, JSON that is never left half written, and JSON lines as results come."""

from __future__ import annotations

import datetime
import json
import math
import os
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[1] / "results"


def dated_path(folder: Path, name: str) -> Path:
    """Return folder/YYYY-MM-DD-name.json, dated today."""
    return folder / f"{datetime.date.today():%Y-%m-%d}-{name}.json"


def unused(path: Path) -> Path:
    """Return `path`, or the first of NAME-2.json, NAME-3.json ... where there is such a file already."""
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_stem(f"{path.stem}-{number}")
    return found


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write `record`, and make its folder. The file is whole at every moment, also where the process is killed.

    JSON has no nan and no infinity: they become the words "nan", "inf" and "-inf".
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(_with_words(record), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(part, path)


def append_line(path: Path, record: dict[str, Any]) -> None:
    """Append `record` to `path` as one line of JSON, which is on disk when this returns; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(_with_words(record), allow_nan=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _with_words(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_words(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_words(item) for item in value]
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)
