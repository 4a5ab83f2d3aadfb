"""The answers of `lift sample --output FILE`: a JSON line each, kept as they are written, so that a killed run goes on.

Process 0 appends to FILE and each other one to a file of its own beside it; in the end FILE holds all lines, in order.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lift.atomic_write import atomic_write, drop_torn_line
from lift.errors import LiftError

# What is written of an answer, beside the fields of its prompt's row.
FIELDS = ("row", "sample", "response", "num_tokens", "num_forwards")

Name = tuple[int, int]
"""Numbers of the prompt's row and of the sample, from 0."""


class AnswerFile:
    """Answers on disk.

    Args:
        path: of the file.
        prompts: of each row.
        settings: all that an answer depends on beside its prompt; kept beside the file.
        rank: of this process.
        barrier: waits for all processes.

    Raises: LiftError if the file has other settings or other prompts, or lines that no run of this command wrote.
    """

    def __init__(
        self, path: Path, prompts: Sequence[str], settings: Mapping[str, Any], rank: int, barrier: Callable[[], None]
    ) -> None:
        self._path, self._prompts, self._rank, self._barrier = path, prompts, rank, barrier
        self._own = path if rank == 0 else path.with_name(f"{path.name}.part-{rank}")
        if rank == 0:
            self._check_settings(json.loads(json.dumps(settings)))
            for file in self._files():
                drop_torn_line(file)
            self._read()
        barrier()
        self.answers: dict[Name, dict[str, Any]] = self._read()
        """Those that are there, by name."""
        barrier()  # nobody writes while another one reads

    def add(self, name: Name, row: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """Append an answer, `FIELDS` but for its name, to what is on disk."""
        record = dict(row) | {"row": name[0], "sample": name[1]} | dict(answer)
        self.answers[name] = record
        with self._own.open("ab") as file:
            file.write(_line(record))

    def merge(self, names: Sequence[Name]) -> None:
        """Put the lines of all processes into the file, in order; process 0 does, when all have come here.

        Raises: LiftError if some of `names` are on no disk that it sees; nothing is lost.
        """
        self._barrier()
        if self._rank == 0:
            found = self._read()
            if not set(names) <= set(found):
                raise LiftError(
                    f"{self._path}: answers of other processes are not beside it: pass an --output in a folder that "
                    "all processes share."
                )
            with atomic_write(self._path) as file:
                file.writelines(_line(found[name]) for name in sorted(found))
            for part in self._files():
                if part != self._path:
                    part.unlink()
        self._barrier()

    def _check_settings(self, settings: dict[str, Any]) -> None:
        place = self._path.with_name(f"{self._path.name}.settings.json")
        is_new = not any(file.stat().st_size for file in self._files())
        if is_new:
            with atomic_write(place) as file:
                file.write(json.dumps(settings, indent=1, ensure_ascii=False).encode() + b"\n")
            return
        try:
            old = dict(json.loads(place.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            raise LiftError(
                f"{self._path} is there, and no settings beside it, so lift sample did not write it: choose another."
            ) from None
        for key in {**settings, **old}:
            if settings.get(key) != old.get(key):
                raise LiftError(
                    f"{self._path}: its answers were written with {key}={old.get(key)!r}, and now it is "
                    f"{settings.get(key)!r}: choose another --output."
                )

    def _files(self) -> list[Path]:
        parts = self._path.parent.glob(f"{glob.escape(self._path.name)}.part-*")
        return [file for file in (self._path, *sorted(parts)) if file.exists()]

    def _read(self) -> dict[Name, dict[str, Any]]:
        found: dict[Name, dict[str, Any]] = {}
        for path in self._files():
            for number, line in enumerate(path.read_bytes().splitlines(), start=1):
                try:
                    record = json.loads(line)
                    name = (int(record["row"]), int(record["sample"]))
                    prompt = record["prompt"]
                except (ValueError, KeyError, TypeError):
                    raise LiftError(
                        f"{path}: line {number} is no answer of lift sample: choose another --output."
                    ) from None
                if name[0] >= len(self._prompts) or self._prompts[name[0]] != prompt:
                    raise LiftError(
                        f"{path}: line {number} answers another prompt than row {name[0]} has: choose another --output."
                    )
                found[name] = record
        return found


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"
