"""Files and folders that a reader finds whole or not at all, with the mode that plain writing would give them."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Write beside the target, then rename: an existing file is replaced at once, or kept if the block fails.

    The disk has the bytes before they get the name, else a power failure could leave an empty file in its place.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _keep_mode(temporary, path)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def check_atomic_write(path: Path) -> None:
    """Raise the OSError that `atomic_write(path)` would begin with, by trying; nothing is left behind."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.touch()
    temporary.unlink()


def check_atomic_folder(path: Path) -> None:
    """Raise the OSError that `atomic_folder(path)` would begin with, by trying; nothing is left behind.

    Permissions do not tell: the superuser passes them all, and a file system may be read-only.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    temporary = (missing[-1] if missing else path).with_name(f".{path.name}.{os.getpid()}")
    temporary.mkdir()
    temporary.rmdir()


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Fill the folder that is given, then rename it to `path`, which must be missing or empty; or leave nothing."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        _keep_mode(temporary, path)
        os.replace(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def drop_torn_line(path: Path) -> int:
    """Cut a file of lines behind its last whole one, as a kill leaves it; return how many bytes go."""
    content = path.read_bytes()
    size = content.rfind(b"\n") + 1
    if size < len(content):
        os.truncate(path, size)
    return len(content) - size


def apply_umask(folder: Path) -> None:
    """Give the weights in `folder` the mode that the umask grants: safetensors (0.8) leaves them to their owner alone.

    Goes with the safetensors that does so itself.
    """
    umask = os.umask(0o077)  # which only setting tells
    os.umask(umask)
    for path in folder.glob("*.safetensors"):
        if stat.S_IMODE(path.stat().st_mode) == 0o600:
            path.chmod(0o666 & ~umask)


def _keep_mode(temporary: Path, path: Path) -> None:
    """Give `temporary` the mode of what it replaces, as `cp` would leave it; a new one has that of the umask."""
    if path.exists():
        temporary.chmod(stat.S_IMODE(path.stat().st_mode))
