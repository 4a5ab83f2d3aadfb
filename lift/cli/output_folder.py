"""What `lift train` may do with its output folder, and the checkpoint in it that a run goes on from."""

from __future__ import annotations

from pathlib import Path

from lift.errors import LiftError


def where_to_start(output: Path, *, resume_from: str | None, may_overwrite: bool) -> Path | None:
    """Return the checkpoint that a run goes on from; None where it starts anew, which `output` must then allow.

    Raises:
        LiftError: as `find_checkpoint` and `check_output`.
    """
    checkpoint = find_checkpoint(output, resume_from)
    if checkpoint is None:
        check_output(output, may_overwrite=may_overwrite)
    return checkpoint


def find_checkpoint(output: Path, resume_from: str | None) -> Path | None:
    """Return the folder to go on from, or None to start anew.

    Args:
        output: the run's output folder.
        resume_from: a checkpoint's folder, "true" for the newest whole one in `output`, None or "false" for none.

    Raises:
        LiftError: there is none.
    """
    if resume_from is None or resume_from.lower() == "false":
        return None
    if resume_from.lower() != "true":
        if not Path(resume_from).is_dir():
            raise LiftError(
                f"no checkpoint folder at {resume_from}: pass --resume_from_checkpoint true for the newest one."
            )
        return Path(resume_from)
    # Written last: a run that was killed may have left a checkpoint without it.
    states = output.glob("checkpoint-*/trainer_state.json")
    steps = {int(number): state.parent for state in states if (number := state.parent.name.split("-")[1]).isdigit()}
    if not steps:
        raise LiftError(f"no checkpoint in {output}: leave --resume_from_checkpoint out to start anew.")
    return steps[max(steps)]


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
    is_a_run = (output / "metrics.json").exists() or any(output.glob("checkpoint-*"))
    if not is_a_run:
        raise LiftError(f"output_dir {output} holds files that no training run wrote: choose another folder.")
