"""Files of two packages that are read and never imported: their own requirements do not fit beside this one's."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from lift.errors import LiftError

INSTALL = "pip install --no-deps sapiens==1.0.5 abstar==0.8.0"


def package_file(package: str, path: str, sha256: str) -> Path:
    """Return a file of an installed package, without importing the package.

    Args:
        package: as it is imported.
        path: of the file in the package's folder.
        sha256: of its bytes, as the version of `INSTALL` has them.

    Raises:
        LiftError: the package is not installed, or holds another file.
    """
    found = find_spec(package)
    folders = [] if found is None else list(found.submodule_search_locations or ())
    files = [file for folder in folders if (file := Path(folder) / path).is_file()]
    if not files:
        raise LiftError(
            f"this domain of the study reads {path} of the package {package}, which is not installed: {INSTALL}."
        )
    if hashlib.sha256(files[0].read_bytes()).hexdigest() != sha256:
        raise LiftError(f"{files[0]} is not the file that the protocol names: {INSTALL}.")
    return files[0]
