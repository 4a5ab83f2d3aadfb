"""Answers on disk, so that a killed run goes on where it was, on any number of processes."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


class AnswerStore:
    """Records by key, in files of JSON lines: each process appends to its own, and all begin by reading every one.

    A key is a hash of all that the answer depends on (`key_of`): weights and adapter, settings, the prompt's tokens and
    the number of the copy. So an edited task, another seed or another adapter finds nothing, and repeats of one prompt
    are never one answer.

    Args:
        folder: of the files; None keeps the records in memory alone.
        rank: of this process.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, rank: int = 0) -> None:
        self._records: dict[str, dict[str, Any]] = {}
        self._path = None if folder is None else Path(folder) / f"answers-{rank}.jsonl"
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            for path in sorted(self._path.parent.glob("answers-*.jsonl")):
                self._read(path)

    def __len__(self) -> int:
        return len(self._records)

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the record of a key, or None."""
        return self._records.get(key)

    def add(self, records: Mapping[str, dict[str, Any]]) -> None:
        """Keep records by their keys, on disk before this returns."""
        self._records.update(records)
        if self._path is None or not records:
            return
        lines = "".join(json.dumps({"key": key} | record) + "\n" for key, record in records.items())
        with self._path.open("ab") as file:
            # A process that was killed may have left half a line.
            start = b"" if file.tell() == 0 or _last_byte(self._path) == b"\n" else b"\n"
            file.write(start + lines.encode())
            file.flush()
            os.fsync(file.fileno())

    def _read(self, path: Path) -> None:
        for number, line in enumerate(path.read_bytes().splitlines(), start=1):
            try:
                record = json.loads(line)
                self._records[record.pop("key")] = record
            except (ValueError, KeyError, AttributeError):
                if line.strip():
                    logger.info("%s, line %d, was not written to its end, and is made anew", path, number)


def key_of(*parts: Any) -> str:
    """Return a hash of plain data."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def number_of(*parts: Any) -> int:
    """Return a number in [0, 2^63) that stands for plain data: the name of its draws."""
    return int(key_of("draws", *parts)[:16], 16) >> 1


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1)
