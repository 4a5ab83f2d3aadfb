"""Find halves of surrogate pairs: JSON may hold them, as a cut emoji leaves them, and UTF-8 cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def find_lone_surrogate(value: Any) -> str | None:
    """Return the first half of a surrogate pair in a string, or in any key or value of nested data, as `\\udXXX`."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            return f"\\u{ord(value[error.start]):04x}"
        return None
    if isinstance(value, Mapping):
        parts: Sequence[Any] = [*value.keys(), *value.values()]
    else:
        parts = value if isinstance(value, (list, tuple)) else ()
    return next((found for part in parts if (found := find_lone_surrogate(part)) is not None), None)


def surrogate_sentence(where: str, half: str) -> str:
    """Say what is wrong at `where`, and the remedy; the half itself could not be printed."""
    return f"{where} holds {half}, half of a surrogate pair, as a cut emoji leaves it; correct the text or remove it."
