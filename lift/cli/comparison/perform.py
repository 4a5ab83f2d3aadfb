"""The runs of a comparison, one after another; those that are finished are kept."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lift.atomic_write import atomic_write
from lift.cli.comparison.child import train_in_child
from lift.cli.comparison.inputs import check_inputs, write_inputs
from lift.cli.comparison.plan import Plan
from lift.cli.comparison.runs import Run
from lift.cli.run_config import settings_text
from lift.errors import Interrupted, LiftError
from lift.training.checkpoints import newest_checkpoint

_REFUSED, _STOPPED = 2, (130, 143)


def check_known(plan: Plan) -> None:
    """Check that the runs in the comparison's folder are those of the plan.

    Raises:
        LiftError: the folder holds something else, or a run of this name was told otherwise or began on other rows or
            from another model.
    """
    folder = plan.folder
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / "settings").is_dir())):
        raise LiftError(f"output_dir {folder} holds something else than a comparison: choose another.")
    for run in plan.runs:
        path = _settings_file(plan, run)
        if not _is_begun(plan, run) or not path.is_file():
            continue  # nothing is kept of it
        before, now = _told(path.read_text("utf-8")), _told(_text(run))
        for name in dict.fromkeys([*before, *now]):
            if before.get(name) != now.get(name):
                raise LiftError(
                    f"{folder} has {run.name} with {name} {before.get(name)}, not {now.get(name)}: go on with the "
                    "settings of before, or choose another --output_dir."
                )
    _check_inputs(plan)


def metrics_of(plan: Plan, run: Run) -> dict[str, Any] | None:
    """Return the metrics of a run, None of one that is not finished."""
    try:
        metrics = json.loads((plan.run_folder(run) / "metrics.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return metrics if isinstance(metrics, dict) and "after" in metrics else None


def perform(plan: Plan, lock: int) -> dict[str, str]:
    """Make the runs that are not finished yet; return what those said last that failed, by their names.

    Raises:
        LiftError: `lift train` refuses a run, before its first step; or what runs read has changed since the first.
        Interrupted: a signal stopped a run, which the next call goes on with.
    """
    waiting = [run for run in plan.runs if metrics_of(plan, run) is None]
    if len(waiting) < len(plan.runs):
        print(f"{len(plan.runs) - len(waiting)} of {len(plan.runs)} runs are finished already", flush=True)
    began, failed = time.monotonic(), {}
    for number, run in enumerate(waiting, start=1):
        if run.start is not None and run.start.name in failed:
            failed[run.name] = f"{run.start.name} failed"
            continue
        try:
            said = _train(plan, run, lock)
        except Interrupted:
            left = len([run for run in plan.runs if metrics_of(plan, run) is None])
            print(f"stopped with {left} of {len(plan.runs)} runs left: the same command goes on", flush=True)
            raise
        if said:
            failed[run.name] = said
            print(f"{run.name} failed, see {_log(plan, run)}: {said}", file=sys.stderr, flush=True)
        still = (time.monotonic() - began) / number * (len(waiting) - number)
        seconds = (metrics_of(plan, run) or {}).get("train_seconds")
        took = "" if seconds is None else f"trained for {seconds:.0f} s, "
        print(f"[{number}/{len(waiting)}] {run.name}: {took}about {still / 60:.0f} min left", flush=True)
    return failed


def _train(plan: Plan, run: Run, lock: int) -> str:
    """Make a run, or go on with it; return what it said last where it failed."""
    folder, settings = plan.run_folder(run), _settings_file(plan, run)
    for parent in (settings.parent, _log(plan, run).parent):
        parent.mkdir(exist_ok=True)
    _check_inputs(plan)  # a file may have been edited while the runs before were trained
    checkpoint = newest_checkpoint(folder)
    if checkpoint is None:
        shutil.rmtree(folder, ignore_errors=True)  # what a killed run leaves is no start for another
    write_inputs(plan, run)
    with atomic_write(settings) as file:
        file.write(_text(run).encode())
    resume = [] if checkpoint is None else ["--resume_from_checkpoint", str(checkpoint)]
    status, said = train_in_child([str(settings), *resume], _log(plan, run), lock)
    if status in _STOPPED:
        raise Interrupted(status - 128)
    if status == _REFUSED:
        raise LiftError(f"{run.name}: {said}")
    if metrics_of(plan, run) is not None:
        return ""
    return said or f"ended with status {status}"


def _is_begun(plan: Plan, run: Run) -> bool:
    return metrics_of(plan, run) is not None or newest_checkpoint(plan.run_folder(run)) is not None


def _check_inputs(plan: Plan) -> None:
    for run in plan.runs:
        if _is_begun(plan, run):
            check_inputs(plan, run)


def _settings_file(plan: Plan, run: Run) -> Path:
    return plan.folder / "settings" / f"{run.name}.yaml"


def _log(plan: Plan, run: Run) -> Path:
    return plan.folder / "logs" / f"{run.name}.log"


def _text(run: Run) -> str:
    return settings_text(run.settings)


def _told(text: str) -> Mapping[str, Any]:
    """Return settings without the folder, which may have moved, and the formats of pictures, which change nothing."""
    found = yaml.safe_load(text)
    return {name: value for name, value in found.items() if name not in ("output_dir", "figure_formats")}
