"""What `lift train` may do with its output folder, and where a run starts."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from lift.errors import LiftError
from lift.training.checkpoints import find_checkpoint


def where_to_start(output: Path, *, resume_from: str | None, may_overwrite: bool) -> Path | None:
    """Return the checkpoint that a run goes on from; None where it starts anew, which `output` must then allow.

    Raises:
        LiftError: as `check_writable`, `find_checkpoint` and `check_output`.
    """
    check_writable(output)
    checkpoint = find_checkpoint(output, resume_from)
    if checkpoint is None:
        check_output(output, may_overwrite=may_overwrite)
    return checkpoint


def check_writable(output: Path) -> None:
    """Try to make a folder where `output` is to be, and leave nothing: permissions do not say all.

    Raises:
        LiftError: no folder can be made there, or the one that is there may not be written.
    """
    try:
        problem = _problem(output)
    except OSError as error:
        problem = str(error.strerror)
    if problem:
        raise LiftError(f"output_dir {output} cannot be used: {problem}: choose another.")


def _problem(output: Path) -> str:
    longest = max(len(os.fsencode(name)) for name in (*output.parts, ""))
    if longest > 255:
        return f"a name in it is {longest} bytes long, and 255 is the limit"
    if "\0" in str(output):
        return "it has a null character"
    if output.is_symlink() and not output.exists():
        return f"it is a link to {os.readlink(output)}, which is not there"
    # Not by making a folder: another process of the run may be looking whether it is empty.
    if output.exists():
        return "it may not be written" if output.is_dir() and not os.access(output, os.W_OK | os.X_OK) else ""
    place = next(parent for parent in output.parents if parent.exists())
    if not place.is_dir():
        return f"{place} is a file"
    os.rmdir(tempfile.mkdtemp(prefix=".lift-", dir=place))
    return ""


def check_output(output: Path, *, may_overwrite: bool) -> None:
    """Refuse an output folder whose content a new run would mix with, or replace without being asked to.

    Raises:
        LiftError: `output` is a file, holds anything without `may_overwrite`, or holds what no run wrote.
    """
    if output.exists() and not output.is_dir():
        raise LiftError(f"output_dir {output} is a file: choose a folder.")
    if not output.is_dir() or not any(output.iterdir()):
        return
    if not may_overwrite:
        raise LiftError(
            f"output_dir {output} is not empty: choose another, continue with --resume_from_checkpoint true, or "
            "replace it with --overwrite_output_dir true."
        )
    has_records = all((output / name).exists() for name in ("config.yaml", "environment.json"))
    is_a_run = has_records or (output / "metrics.json").exists() or any(output.glob("checkpoint-*"))
    if not is_a_run:
        raise LiftError(f"output_dir {output} holds files that no training run wrote: choose another folder.")
