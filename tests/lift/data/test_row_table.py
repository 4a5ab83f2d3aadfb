"""Rows become one table, whatever their columns hold."""

from __future__ import annotations

import pytest

from lift.data.row_table import rows_to_dataset
from lift.errors import LiftError


def test_missing_keys_are_null_and_mixed_types_stay() -> None:
    rows = [{"a": 1, "b": {"x": None, "y": [1]}}, {"a": "one"}, {"b": {"y": [2]}}]
    assert rows_to_dataset(rows).to_list() == [{"a": row.get("a"), "b": row.get("b")} for row in rows]
    assert len(rows_to_dataset([])) == 0


def test_half_a_surrogate_pair_names_its_row() -> None:
    with pytest.raises(LiftError, match=r"^row 1 \(counted from 0\) holds \\ud83d, half of a surrogate pair"):
        rows_to_dataset([{"a": "x"}, {"a": ["\ud83d"]}])
