"""Whether the file that a command is to write can be written, asked before any work is done for it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lift.atomic_write import check_atomic_write
from lift.errors import LiftError


def check_output_file(path: Path, flag: str) -> None:
    """Try to write beside a file, and leave nothing: permissions do not say all.

    Raises:
        LiftError: it is a folder, there is no folder for it, or that may not be written; `flag` says where to choose.
    """
    if path.is_dir():
        raise LiftError(f"{path} is a folder: name a file.")
    if not path.parent.is_dir():
        raise LiftError(f"{path}: there is no folder {path.parent}: make it, or choose another {flag}.")
    try:
        check_atomic_write(path)
    except OSError as error:
        problem = os.strerror(error.errno) if error.errno else str(error)
        raise LiftError(
            f"{path}: folder {path.parent} may not be written ({problem}): choose another {flag}."
        ) from None


def check_suffix(path: Path, flag: str, suffixes: Sequence[str]) -> None:
    """Check how the name of a file ends.

    Raises:
        LiftError: otherwise than by one of `suffixes`.
    """
    if path.suffix not in suffixes:
        raise LiftError(f"{flag} {path} must end in {', '.join(suffixes)}, got {path.suffix!r}.")
