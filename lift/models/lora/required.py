"""Ask for packages that only some features need."""

from __future__ import annotations

from importlib.util import find_spec

from lift.errors import LiftError


def require(package: str, feature: str) -> None:
    """Raise LiftError, with the remedy, where `package` is not installed."""
    if find_spec(package) is None:
        raise LiftError(f"{feature} needs {package}, which is not installed: pip install {package}.")
