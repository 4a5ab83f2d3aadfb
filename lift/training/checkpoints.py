"""Which checkpoint a run goes on from. It imports no torch, so that a command line can ask before it loads any."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path

from lift.errors import LiftError

STATE = "trainer_state.json"
"""The Trainer writes it last: a run that was killed may have left a checkpoint without it, or with half of it."""


def find_checkpoint(output: Path, resume_from: str | PathLike[str] | bool | None) -> Path | None:
    """Return the folder to go on from, or None to start anew.

    Args:
        output: the run's output folder.
        resume_from: a checkpoint's folder; the output folder of a run, for the newest whole checkpoint in it; True or
            "true" for the newest in `output`; None, False or "false" for none.

    Raises:
        LiftError: there is none.
    """
    if resume_from is None or str(resume_from).lower() == "false":
        return None
    if str(resume_from).lower() == "true":
        newest = newest_checkpoint(output)
        if newest is None:
            raise LiftError(f"no checkpoint in {output}: leave resume_from_checkpoint out to start anew.")
        return newest
    folder = Path(str(resume_from))
    if not folder.is_dir():
        raise LiftError(f"no checkpoint folder at {folder}: set resume_from_checkpoint to true for the newest one.")
    if _is_whole(folder):
        return folder
    newest = newest_checkpoint(folder)
    if newest is None:
        raise LiftError(
            f"{folder} is no checkpoint that was written to its end, as it has no whole {STATE}, nor does it hold one: "
            "set resume_from_checkpoint to a folder checkpoint-N, or to true for the newest one in output_dir."
        )
    return newest


def newest_checkpoint(run: Path) -> Path | None:
    """Return the folder `checkpoint-N` of the highest N in `run` that was written to its end, or None."""
    steps = {int(number): path for path in run.glob("checkpoint-*") if (number := path.name.split("-")[1]).isdigit()}
    return next((steps[number] for number in sorted(steps, reverse=True) if _is_whole(steps[number])), None)


def step_of(checkpoint: Path) -> int:
    """Return the optimiser step after which a whole checkpoint was saved."""
    return int(json.loads((checkpoint / STATE).read_text("utf-8")).get("global_step", 0))


def check_unfinished(checkpoint: Path, max_steps: int) -> None:
    """Check that a run of `max_steps`, which counts where it is positive, has steps left after `checkpoint`.

    Raises:
        LiftError: it has none; the Trainer would train one step too many.
    """
    step = step_of(checkpoint)
    if 0 < max_steps <= step:
        raise LiftError(
            f"{checkpoint} is at step {step}, and max_steps={max_steps} leaves nothing to train: raise max_steps, or "
            "use the model as it is."
        )


def _is_whole(folder: Path) -> bool:
    try:
        return isinstance(json.loads((folder / STATE).read_text("utf-8")), dict)
    except (OSError, ValueError):
        return False
