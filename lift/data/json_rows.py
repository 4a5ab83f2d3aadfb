"""Read rows from .json and .jsonl, as they are or compressed, and know the line of a mistake."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lift.data.surrogates import find_lone_surrogate, surrogate_sentence
from lift.data.text_files import open_text
from lift.errors import LiftError


class DuplicateKey(ValueError):
    """A JSON object names a key, the argument, twice, and Python would keep the last in silence."""


def read_json_lines(path: Path, limit: int | None = None) -> list[dict[str, Any]]:
    """Read one JSON object a line; empty lines count as lines but hold no row. `limit`: rows to read.

    Raises: LiftError that names file and line.
    """
    with open_text(path) as lines:
        return parse_json_lines(lines, path, limit)


def parse_json_lines(lines: Iterable[str], origin: object, limit: int | None = None) -> list[dict[str, Any]]:
    """As read_json_lines, from lines that are read already; sentences call them `origin`."""
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        if len(rows) == limit:
            break
        if not line.strip():
            continue
        where = f"{origin}: line {number}"
        try:
            row = _parse(line.rstrip(), where)
        except json.JSONDecodeError as error:
            raise _bad_json(origin, number, error) from error
        if not isinstance(row, dict):
            raise LiftError(f"{where} must hold one JSON object, got {type(row).__name__}.")
        # An escape is the only way into a decoded line.
        if "\\u" in line and (half := find_lone_surrogate(row)) is not None:
            raise LiftError(surrogate_sentence(where, half))
        rows.append(row)
    return rows


def read_json(path: Path) -> list[dict[str, Any]]:
    """Read a list of JSON objects, or one object a line under the suffix of plain JSON.

    Raises: LiftError that names file and line, or row where the line is not known.
    """
    with open_text(path) as file:
        text = file.read()
    if not text.strip():
        return []
    try:
        rows = _parse(text, str(path))
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            return read_json_lines(path)
        raise _bad_json(path, error.lineno, error) from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise LiftError(f"{path} must hold a list of JSON objects; name it .jsonl if it has one object per line.")
    for number, row in enumerate(rows if "\\u" in text else ()):
        if (half := find_lone_surrogate(row)) is not None:
            raise LiftError(surrogate_sentence(f"{path}: row {number} (counted from 0)", half))
    return rows


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=unique_keys)
    except json.JSONDecodeError:
        raise
    except DuplicateKey as error:
        raise LiftError(f"{where} has the key {error.args[0]!r} twice in one object; keep one of them.") from None
    except RecursionError:
        raise LiftError(f"{where} is nested too deeply to be read.") from None
    except ValueError as error:  # an integer of thousands of digits
        raise LiftError(f"{where} cannot be read: {error}") from error


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object that `json` has read as pairs: its `object_pairs_hook`.

    Raises: DuplicateKey.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise DuplicateKey(key)
            seen.add(key)
    return found


def _bad_json(origin: object, line: int, error: json.JSONDecodeError) -> LiftError:
    return LiftError(f"{origin}: line {line} is not valid JSON ({error.msg} at column {error.colno}); correct it.")
