"""Mappings that a flag takes as JSON."""

from __future__ import annotations

import json
from typing import Any

from lift.data.json_rows import DuplicateKey, unique_keys
from lift.errors import LiftError


def parse_mapping(name: str, text: str, wanted: str = "a mapping, JSON on the command line") -> dict[str, Any]:
    """Return the mapping that some JSON holds.

    Raises:
        LiftError: it holds none, or one in which a key stands twice; the sentence begins with `name`, and says
            what is `wanted`.
    """
    try:
        mapping = json.loads(text, object_pairs_hook=unique_keys)
    except DuplicateKey as error:
        raise LiftError(f"{name}: the key {error.args[0]!r} stands twice: keep one.") from None
    except (json.JSONDecodeError, RecursionError):
        mapping = None
    if not isinstance(mapping, dict):
        shown = text if len(text) <= 60 else f"{text[:60]}..."
        raise LiftError(f"{name} must be {wanted}, got {shown!r}.")
    return mapping
