"""Load rows unchanged from files, saved data sets and the Hugging Face Hub.

Files are parsed here and not by `datasets.load_dataset`: that keeps strings that look like dates strings,
leaves no copy in a cache folder, and knows the line of a mistake.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import datasets
import pyarrow
from datasets import Dataset, DatasetDict

from lift.data.files import READABLE, as_list, described, find_paths, first_line, load_files
from lift.data.row_names import RowNames
from lift.errors import LiftError

_FILE_SUFFIXES = (*READABLE, ".txt", ".arrow", ".gz", ".zip", ".zst", ".xz")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")


def load_rows(
    source: str | Path | Sequence[str | Path],
    *,
    split: str | None = None,
    name: str | None = None,
    limit: int | None = None,
) -> Dataset:
    """Load the rows of a data set, with the columns that it has.

    Args:
        source: A .jsonl, .json (a list of objects), .csv or .tsv file (a header, and cells that stay text: see
            `lift.data.csv_rows`), each also compressed, as .jsonl.gz, or a .parquet file; several of them as a
            list, or a pattern such as `data/*.jsonl`, read in sorted order; a folder written by
            `datasets.Dataset.save_to_disk`; or a Hub id such as `openai/gsm8k`. Whatever exists here is
            read from here; `owner/name` is a Hub id unless there is a folder `owner`. A path never asks the
            Hub.
        split: Which split of a saved or Hub data set; by default `train`, or the only one.
        name: Configuration of a Hub data set.
        limit: Keep the first `limit` rows, at least 1; by default all.

    Returns: A `datasets.Dataset` with at least one row.

    Raises: LiftError if the source is missing, empty, unreadable or unreachable, or has no such split.
    """
    return load_named_rows(source, split=split, name=name, limit=limit)[0]


def load_named_rows(
    source: str | Path | Sequence[str | Path],
    *,
    split: str | None = None,
    name: str | None = None,
    limit: int | None = None,
) -> tuple[Dataset, RowNames]:
    """As `load_rows`, and how a sentence names each row."""
    _check_arguments(source, split, name, limit)
    names = None
    if isinstance(source, str) and is_hub_id(source):
        dataset = _load_from_hub(source, name, split)
    elif name is not None:
        raise LiftError(
            f"name={name!r} selects a configuration of a Hub data set, but {source} is a path; leave it out."
        )
    else:
        paths = [path for item in as_list(source) for path in find_paths(item)]
        if len(paths) == 1 and paths[0].is_dir():
            dataset = _load_saved(paths[0], split)
        else:
            dataset, lengths = load_files(paths, split, limit)
            names = RowNames(tuple(zip(map(str, paths), lengths, strict=True)))
    if len(dataset) == 0:
        raise LiftError(f"{described(source)} has no rows; at least one is needed.")
    names = names or RowNames(((described(source), len(dataset)),))
    return dataset if limit is None else dataset.select(range(min(limit, len(dataset)))), names


def _check_arguments(source: Any, split: Any, name: Any, limit: Any) -> None:
    items = source if isinstance(source, (list, tuple)) else [source]
    wrong = [item for item in items if not isinstance(item, (str, Path)) or not str(item)]
    if wrong:
        got = repr(wrong[0]) if wrong[0] in (None, "") else type(wrong[0]).__name__
        raise LiftError(f"load_rows: source must be a path, a Hub id, or a list of them, got {got}.")
    for option, value in (("split", split), ("name", name)):
        if value is not None and not isinstance(value, str):
            raise LiftError(f"load_rows: {option} must be a string, got {type(value).__name__}.")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, Integral)):
        raise LiftError(f"load_rows: limit must be a whole number of rows, got {limit!r}.")
    if limit is not None and limit < 1:
        raise LiftError(f"limit must be at least 1 row, got {limit}.")


def is_hub_id(source: str) -> bool:
    """Return whether `load_rows` would look for this name on the Hub, not on disk."""
    if Path(source).exists() or Path(source).suffix.lower() in _FILE_SUFFIXES:
        return False
    owner = source.partition("/")[0] if "/" in source else None
    return _HUB_ID.fullmatch(source) is not None and (owner is None or not Path(owner).is_dir())


def _load_saved(folder: Path, split: str | None) -> Dataset:
    if not any((folder / marker).is_file() for marker in ("dataset_dict.json", "state.json")):
        raise LiftError(f"{folder} is a folder that save_to_disk did not write; name files, such as {folder}/*.jsonl.")
    try:
        loaded = datasets.load_from_disk(str(folder))
    except IndexError:  # how datasets answers to a data set that was saved with no rows
        return Dataset.from_dict({})
    except (OSError, ValueError, KeyError, pyarrow.ArrowException) as error:
        raise LiftError(f"{folder} cannot be read as a saved data set: {first_line(error)}") from error
    if isinstance(loaded, Dataset) and split not in (None, "train", str(loaded.split)):
        raise LiftError(f"{folder} holds one data set without splits, got split={split!r}; leave it out.")
    return _pick_split(loaded, split, str(folder))


def _load_from_hub(source: str, name: str | None, split: str | None) -> Dataset:
    try:
        loaded = datasets.load_dataset(source, name, split=split)
    except ConnectionError as error:
        raise LiftError(
            f"there is no file or folder {source}, and the Hugging Face Hub could not be asked for such "
            f"a data set ({first_line(error)}); give a local file, or allow network access and unset "
            "HF_HUB_OFFLINE."
        ) from error
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise LiftError(
            f"there is no file or folder {source}, and it could not be loaded from the Hugging Face Hub: "
            f"{first_line(error)}"
        ) from error
    return _pick_split(loaded, split, source)


def _pick_split(loaded: Dataset | DatasetDict, split: str | None, source: str) -> Dataset:
    if isinstance(loaded, Dataset):
        return loaded
    splits = ", ".join(loaded)
    if split is None and "train" not in loaded and len(loaded) != 1:
        raise LiftError(f"{source} has the splits {splits} and none is called train; choose one of them as split.")
    wanted = split or ("train" if "train" in loaded else next(iter(loaded)))
    if wanted not in loaded:
        raise LiftError(f"{source} has no split {wanted!r}; it has {splits}.")
    return loaded[wanted]
