"""The table on disk: Parquet files, each whole or not there, beside what they were made from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lift.atomic_write import atomic_write
from lift.errors import LiftError

SCHEMA = pa.schema(
    {
        "example": pa.int64(),  # number of the row
        "position": pa.int32(),  # in the row, prompt included
        "token": pa.int32(),  # the gold one, that was masked
        "frequency": pa.int64(),  # how often it occurs in the responses of the data set
        "ratio": pa.float32(),  # of the mask
        "log_prob": pa.float32(),  # of the gold token, in nats
        "confidence": pa.float32(),  # probability of the most likely token, as in LIFT's published script
        "prediction": pa.int32(),  # that token
        "runner_up_log_prob": pa.float32(),  # of the second most likely token
        "rank": pa.int32(),  # of the gold token: 1 where none is more likely
        "entropy": pa.float32(),  # in nats
    }
)
_SETTINGS, _PARTS, _ROWS, _VOCABULARY = "analysis.json", "tokens", "rows.parquet", "vocabulary.parquet"
# What a table is made of; the rest of its settings may differ from one start to the next.
_IDENTITY = ("format", "weights", "data", "ratios", "seed", "mask_token_id", "num_parts")

Columns = dict[str, NDArray[Any]]


def ratio_index(part: Columns, ratios: Sequence[float]) -> NDArray[np.int64]:
    """Return the place (N,) of each row's ratio among `ratios`, ascending."""
    return np.searchsorted(np.asarray(ratios, dtype=np.float32), part["ratio"])


@dataclass(frozen=True)
class AnalysisTable:
    """A folder with a table."""

    folder: Path

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What it was made from.

        Raises: LiftError if there is no table here.
        """
        try:
            settings = json.loads((self.folder / _SETTINGS).read_text("utf-8"))
            assert settings["format"] == 2
        except (OSError, ValueError, KeyError, TypeError, AssertionError):
            raise LiftError(f"{self.folder} holds no table of lift analyze: name the output_dir of one.") from None
        return dict(settings)

    @property
    def ratios(self) -> list[float]:
        """The mask ratios, ascending."""
        return list(self.settings["ratios"])

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Write what the table is to be made from, or see that a table which was begun is made from the same.

        Raises: LiftError if it is made from something else.
        """
        if (self.folder / _SETTINGS).exists():
            for name in _IDENTITY:
                if self.settings.get(name) != settings[name]:
                    raise LiftError(
                        f"{self.folder} holds a table with {name} {self.settings.get(name)}, not {settings[name]}: go "
                        "on with the same, or choose another output_dir."
                    )
            return
        (self.folder / _PARTS).mkdir(parents=True, exist_ok=True)
        with atomic_write(self.folder / _SETTINGS) as file:
            file.write(json.dumps(settings, indent=2).encode() + b"\n")

    def missing(self) -> list[int]:
        """Return the numbers of the parts that are not there yet."""
        return [part for part in range(self.settings["num_parts"]) if not self._path(part).exists()]

    def write_part(self, part: int, columns: Columns) -> None:
        """Write a part, whole or not at all; `columns` may be empty."""
        _write(self._path(part), pa.table(columns, schema=SCHEMA) if columns else SCHEMA.empty_table())

    def parts(self) -> Iterator[Columns]:
        """Yield the columns of one part after the other, each column (N,).

        Raises: LiftError if a part is not there yet.
        """
        if missing := self.missing():
            raise LiftError(
                f"{self.folder} lacks {len(missing)} of {self.settings['num_parts']} parts: run its lift analyze again."
            )
        for part in range(self.settings["num_parts"]):
            table = pq.read_table(self._path(part), schema=SCHEMA)
            yield {name: table.column(name).to_numpy() for name in SCHEMA.names}

    def write_rows(self, examples: Iterator[tuple[int, NDArray[np.int64]]]) -> None:
        """Write the token ids of each example, so that a report can show tokens in their text."""
        schema = pa.schema({"example": pa.int64(), "input_ids": pa.list_(pa.int32())})
        with atomic_write(self.folder / _ROWS) as file, pq.ParquetWriter(file, schema) as writer:
            for block in _blocks(examples, 1000):
                numbers, ids = zip(*block, strict=True)
                writer.write_table(pa.table({"example": numbers, "input_ids": ids}, schema=schema))

    def row_ids(self, examples: list[int]) -> dict[int, list[int]]:
        """Return the token ids of some examples."""
        found = pq.read_table(self.folder / _ROWS, filters=[("example", "in", examples)]).to_pydict()
        return dict(zip(found["example"], found["input_ids"], strict=True))

    def write_vocabulary(self, frequency: NDArray[np.int64], texts: Mapping[int, str]) -> None:
        """Write text and frequency of the tokens that occur; frequency (V,)."""
        tokens = list(texts)
        table = {"token": tokens, "text": list(texts.values()), "frequency": frequency[tokens]}
        _write(self.folder / _VOCABULARY, pa.table(table))

    def texts(self) -> dict[int, str]:
        """Return the text of each token that occurs."""
        found = pq.read_table(self.folder / _VOCABULARY, columns=["token", "text"]).to_pydict()
        return dict(zip(found["token"], found["text"], strict=True))

    def _path(self, part: int) -> Path:
        return self.folder / _PARTS / f"part-{part:05d}.parquet"


def _write(path: Path, table: pa.Table) -> None:
    with atomic_write(path) as file:
        pq.write_table(table, file, compression="zstd")


def _blocks(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    block: list[Any] = []
    for item in items:
        block.append(item)
        if len(block) == size:
            yield block
            block = []
    if block:
        yield block
