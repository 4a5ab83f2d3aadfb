"""The record of a training in a folder, read without the model: see `training_record`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

# Beside an adapter, which is saved without the configuration of its base.
ADAPTER_RECORD = "lift.json"
FIELD = "lift"
"""Of the configuration of a whole model."""


def record_in(folder: str | Path) -> dict[str, str]:
    """Return what the model or the adapter in a local folder was saved with; empty where nothing is known."""
    for name in (ADAPTER_RECORD, "config.json"):
        try:
            record = json.loads((Path(folder) / name).read_text("utf-8"))
            record = record if name == ADAPTER_RECORD else record[FIELD]
            return {str(k): v for k, v in record.items() if isinstance(v, str)}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return {}


def block_size_of(record: Mapping[str, str]) -> int | None:
    """Return the size of the blocks that a record tells of; None where it tells of none."""
    size = record.get("block_size", "")
    return int(size) if record.get("attention") == "block" and size.isdecimal() and int(size) > 0 else None


def has_random_tokens(record: Mapping[str, str]) -> bool:
    """Return whether a record tells of a training without a mask token, on corruption by random tokens."""
    return record.get("corruption") == "uniform"
