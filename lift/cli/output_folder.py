"""What `lift train` may do with its output folder, and where a run starts."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from lift.errors import LiftError
from lift.training.checkpoints import find_checkpoint, step_of


def where_to_start(
    output: Path, *, resume_from: str | None, may_overwrite: bool, inputs: Iterable[tuple[str, Path]] = ()
) -> Path | None:
    """Return the checkpoint that a run goes on from; None where it starts anew, which `output` must then allow.

    Args:
        output: the run's folder.
        resume_from: see `find_checkpoint`.
        may_overwrite: a new start may replace the run that is there.
        inputs: what the run reads, see `input_paths`.

    Raises:
        LiftError: as `check_writable`, `find_checkpoint`, `check_output` and `check_outside`; or a start before this
            one was killed while the run that it was to replace was aside.
    """
    check_writable(output)
    _check_aside(output, may_overwrite=may_overwrite and str(resume_from).lower() in ("none", "false"))
    checkpoint = find_checkpoint(output, resume_from)
    if checkpoint is None:
        check_output(output, may_overwrite=may_overwrite)
        if may_overwrite:
            check_outside(output, inputs)
    return checkpoint


def lacks_its_end(checkpoint: Path, output: Path, max_steps: int) -> bool:
    """Return whether a run of `max_steps` has taken all of them at `checkpoint`, and was killed in what follows.

    It was not where metrics.json, which is written behind the model, has that step: in `output` or the checkpoint's
    run.
    """
    step = step_of(checkpoint)
    return step == max_steps and all(_finished_step(folder) < step for folder in (output, checkpoint.parent))


def _finished_step(output: Path) -> int:
    """Return after how many steps a run has left its model; -1 where it has left none."""
    try:
        return int(json.loads((output / "metrics.json").read_text("utf-8"))["steps"])
    except (OSError, ValueError, KeyError, TypeError):
        return -1


def aside_of(output: Path) -> Path:
    """Return where the run in `output` is while a new one, which replaces it, has not taken a step yet."""
    folder = output.resolve()
    return folder.with_name(f".{folder.name}.replaced")


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
    if output.exists() and not output.is_dir():
        return "it is a file"
    if output.exists():
        return "" if os.access(output, os.W_OK | os.X_OK) else "it may not be written"
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
    if not has_records and not _has_trained(output):
        raise LiftError(f"output_dir {output} holds files that no training run wrote: choose another folder.")


def check_outside(output: Path, inputs: Iterable[tuple[str, Path]]) -> None:
    """Refuse to replace a folder with something in it that the new run reads.

    Args:
        output: the folder.
        inputs: names of flags with what they name. The run's own record of its settings is taken: it is written anew.

    Raises:
        LiftError: an input, or the working directory, lies in `output`.
    """
    if not output.is_dir() or not any(output.iterdir()):
        return
    for name, path in inputs:
        if _lies_in(path, output) and path.resolve() != output.resolve() / "config.yaml":
            raise LiftError(
                f"overwrite_output_dir would delete {path}, which {name} names, as it lies in output_dir {output}: "
                "move it out, or choose another output_dir."
            )
    if _lies_in(Path(os.curdir), output):
        raise LiftError(
            f"overwrite_output_dir would delete the working directory, as it lies in output_dir {output}: start from "
            "another folder, or choose another output_dir."
        )


def _lies_in(path: Path, folder: Path) -> bool:
    """Whether a path, as it is named or behind its links, is in a folder, or is it."""
    named = Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder))
    return named or path.resolve().is_relative_to(folder.resolve())


def _has_trained(output: Path) -> bool:
    return (output / "metrics.json").exists() or any(output.glob("checkpoint-*"))


def _check_aside(output: Path, *, may_overwrite: bool) -> None:
    aside = aside_of(output)
    if os.path.lexists(aside) and (not may_overwrite or _has_trained(output)):
        raise LiftError(
            f"{aside} holds the run that was to be replaced in output_dir {output}, by a start that was killed before "
            f"its first step: rename it to {output.resolve()}, in place of what is there, or delete it."
        )
