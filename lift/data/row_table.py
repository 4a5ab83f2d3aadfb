"""Put rows into one table, whose columns may hold anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from datasets import Dataset, Features, Json

from lift.data.surrogates import find_lone_surrogate, surrogate_sentence
from lift.errors import LiftError


def rows_to_dataset(rows: Iterable[Mapping[str, Any]]) -> Dataset:
    """Put rows into one table; a missing key becomes null, a column of mixed types is kept as JSON.

    So is a column whose objects hold nulls, which in a table of structs could not be told from keys that a row lacks.

    Raises: LiftError that names the row if a text has half of a surrogate pair.
    """
    rows = list(rows)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = {column: [row.get(column) for row in rows] for column in columns}
    try:
        dataset = Dataset.from_dict(table, on_mixed_types="use_json")
        has_nulls = [column for column in columns if any(_has_null_key(cell) for cell in table[column])]
        if not has_nulls:
            return dataset
        features = Features({**dataset.features, **{column: Json() for column in has_nulls}})
        return Dataset.from_dict(table, features=features)
    except UnicodeEncodeError:
        for number, row in enumerate(rows):
            if (half := find_lone_surrogate(row)) is not None:
                raise LiftError(surrogate_sentence(f"row {number} (counted from 0)", half)) from None
        raise


def _has_null_key(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(item is None or _has_null_key(item) for item in value.values())
    return isinstance(value, (list, tuple)) and any(
        _has_null_key(item) for item in value if isinstance(item, (Mapping, list, tuple))
    )
