"""Packages that only some features need."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from lift.errors import LiftError


def require(package: str, feature: str) -> None:
    """Raise LiftError, with the remedy, where `package` is not installed."""
    if find_spec(package) is None:
        raise LiftError(f"{feature} needs {package}, which is not installed: pip install {package}.")


@contextmanager
def without_peft_notices() -> Iterator[None]:
    """peft 0.21 asks a model by a name that transformers 5.23 deprecates, which is no concern of whoever trains."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        yield
