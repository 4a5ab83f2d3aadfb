"""Read rows from one file or several: their formats, their order, and whether they belong together."""

from __future__ import annotations

import glob
import logging
from collections.abc import Sequence
from pathlib import Path

import datasets
import pyarrow
import pyarrow.parquet
from datasets import Dataset

from lift.data.csv_rows import SEPARATORS, read_csv
from lift.data.json_rows import read_json, read_json_lines
from lift.data.row_table import rows_to_dataset
from lift.data.text_files import format_of
from lift.errors import LiftError

logger = logging.getLogger(__name__)

_TEXT = (".jsonl", ".json", *SEPARATORS)
READABLE = (*_TEXT, ".parquet")
"""The formats of files, by their suffixes; those of text may be compressed, with .gz behind the suffix."""


def as_list(source: str | Path | Sequence[str | Path]) -> list[str | Path]:
    return [source] if isinstance(source, (str, Path)) else list(source)


def described(source: str | Path | Sequence[str | Path]) -> str:
    return ", ".join(str(item) for item in as_list(source))


def find_paths(item: str | Path) -> list[Path]:
    """Return what a path or a pattern stands for, in sorted order.

    Raises: LiftError if there is nothing.
    """
    path = Path(item).expanduser()
    if path.exists():
        return [path]
    if glob.has_magic(str(path)):
        found = sorted(Path(match) for match in glob.glob(str(path), recursive=True))
        if found:
            return found
        raise LiftError(f"no file matches {item}; check the pattern and the folder it starts from.")
    raise LiftError(f"file not found: {item}; check the path (relative paths start at {Path.cwd()}).")


def load_files(paths: list[Path], split: str | None, limit: int | None) -> tuple[Dataset, list[int]]:
    """Return the rows of all files, one file after the other, and how many each has, read as far as `limit` needs.

    Raises: LiftError if one has no rows or cannot be read, or they do not belong together.
    """
    if split not in (None, "train"):
        raise LiftError(f"{described(paths)} has no splits, got split={split!r}; leave it out or name another file.")
    if not paths:
        raise LiftError("the list of files is empty; name at least one.")
    parts: list[Dataset] = []
    for path in paths:
        parts.append(part := _load_file(path, limit))
        if len(part) == 0:
            raise LiftError(f"{path} has no rows; at least one is needed.")
    _compare_columns(paths, parts)
    try:
        return datasets.concatenate_datasets(parts) if len(parts) > 1 else parts[0], list(map(len, parts))
    except (ValueError, pyarrow.ArrowException) as error:
        raise LiftError(f"{described(paths)} differ in the types of their columns: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _compare_columns(paths: list[Path], parts: list[Dataset]) -> None:
    """Refuse files that have no column in common, and say of the others what one lacks: it is null in the table."""
    first = set(parts[0].column_names)
    for path, part in zip(paths, parts, strict=True):
        if first.isdisjoint(part.column_names):
            raise LiftError(
                f"{path} has the columns {', '.join(part.column_names)}, and {paths[0]} has "
                f"{', '.join(parts[0].column_names)}; name them alike, or train on one of the files."
            )
    columns = list(dict.fromkeys(name for part in parts for name in part.column_names))
    lacking = [
        f"{path} lacks {', '.join(missing)}"
        for path, part in zip(paths, parts, strict=True)
        if (missing := [name for name in columns if name not in part.column_names])
    ]
    if lacking:
        logger.warning("the files differ in their columns, and what a file lacks is null: %s", "; ".join(lacking))


def _load_file(path: Path, limit: int | None) -> Dataset:
    kind, is_compressed = format_of(path), path.suffix.lower() == ".gz"
    if path.is_dir() or kind not in (_TEXT if is_compressed else READABLE):
        found = "a folder" if path.is_dir() else f"of type {''.join(path.suffixes[-2:]) or 'unknown'}"
        raise LiftError(
            f"{path} must be a file of type {', '.join(READABLE)}, or .gz of one of text, but it is {found}; convert "
            "it first."
        )
    try:
        if kind == ".parquet":
            table = pyarrow.parquet.read_table(path)
            table.validate(full=True)  # a text that is not UTF-8 would fail only when its row is read
            return Dataset(table)
        if kind == ".json":
            return rows_to_dataset(read_json(path))
        return rows_to_dataset(read_json_lines(path, limit) if kind == ".jsonl" else read_csv(path, limit))
    except UnicodeDecodeError as error:
        raise LiftError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); convert it first."
        ) from error
    except (OSError, OverflowError, pyarrow.ArrowException) as error:
        raise LiftError(f"{path} cannot be read: {first_line(error)}") from error
