"""The file of results: a line of JSON for each session and each job, of which a kill may tear only the last."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.harness.environment import host_environment
from benchmarks.harness.json_record import append_line
from benchmarks.study.plan import Job, Plan
from lift.atomic_write import drop_torn_line
from lift.errors import LiftError

logger = logging.getLogger(__name__)

Line = dict[str, Any]


def results_path(folder: Path) -> Path:
    """Return the file of results in the output folder of a study."""
    return folder / "runs.jsonl"


def read_lines(folder: Path) -> list[Line]:
    """Return the whole lines of a folder's results, none where there is no file."""
    path = results_path(folder)
    text = path.read_bytes() if path.exists() else b""
    return [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]


def open_session(folder: Path, plan: Plan, command: str) -> dict[Job, Line]:
    """Add the line of a session, with what it runs on; return the lines of the jobs that are done.

    A last line that a kill tore is dropped: its job runs again.

    Raises:
        LiftError: the folder holds the results of another plan.
    """
    lines, path = read_lines(folder), results_path(folder)
    session = {"command": command, "plan": json.loads(json.dumps(asdict(plan))), **host_environment()}
    for line in lines:
        if "session" in line and line["session"]["plan"] != session["plan"]:
            raise LiftError(f"{path} holds a study of other sizes: choose another --output.")
    if path.exists() and (torn := drop_torn_line(path)):
        logger.warning("%s: the last line was torn, %d bytes of it are dropped", path, torn)
    append_line(path, {"session": session})
    return {Job.of_line(line): line for line in lines if "job" in line}
