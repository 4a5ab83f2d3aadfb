"""Let errors from inside name the function that was called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def errors_of(op: str) -> Iterator[None]:
    """Put the name of `op` before every ValueError from inside that does not begin with it."""
    try:
        yield
    except ValueError as error:
        if str(error).startswith(f"{op}: "):
            raise
        raise ValueError(f"{op}: {error}") from error
