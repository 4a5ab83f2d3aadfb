"""A job is a list of tasks that one process runs; what happens goes as events into a log that outlives a crash."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.error_record import describe_error

CRASHED = 3  # exit status
Emit = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Job:
    """`section` is the part of the run it belongs to; `backend` and `is_smoke` are those of a `RunConfig`."""

    section: str
    name: str
    tasks: tuple[str, ...]  # in this order
    deadline: float  # time.time() after which no task begins
    backend: str
    is_smoke: bool = False
    skip: tuple[str, ...] = ()  # providers

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        values = json.loads(text)
        return cls(**{**values, "tasks": tuple(values["tasks"]), "skip": tuple(values["skip"])})


def run_tasks(
    job: Job, run_task: Callable[[str], dict[str, Any]], emit: Emit, release_memory: Callable[[], None] = lambda: None
) -> None:
    """Run the tasks of `job` in order.

    Each emits the event "begin" and, with the record that `run_task` returns, "end". One that would end after the
    deadline, judged by those before it, emits "dropped" instead. `release_memory` runs after each task.
    """
    seconds: dict[str, list[float]] = {}
    for task in job.tasks:
        start = time.time()
        if start + _expected_seconds(task, seconds) > job.deadline:
            emit({"event": "dropped", "task": task})
            continue
        emit({"event": "begin", "task": task})
        record = run_task(task)
        emit({"event": "end", "task": task, "record": record})
        release_memory()  # raises where the device is lost, which ends this process
        seconds.setdefault(_kind(task), []).append(time.time() - start)


def _expected_seconds(task: str, seconds: dict[str, list[float]]) -> float:
    """The median of its kind, of all tasks where it is the first of its kind, and 0 where it is the first of all."""
    known = seconds.get(_kind(task)) or [value for values in seconds.values() for value in values]
    return statistics.median(known) if known else 0.0


def _kind(task: str) -> str:
    """What stands before the colon of a task's name, where there is one."""
    return task.partition(":")[0]


def run_logged(job: Job, run_job: Callable[[Job, Emit], None], log: Path) -> int:
    """Run a job with its events appended to `log`, a line each; an exception becomes the event "crash".

    Returns the exit status of the process: 0, or `CRASHED`.
    """
    with log.open("a", encoding="utf-8") as file:

        def emit(event: dict[str, Any]) -> None:
            file.write(json.dumps(event) + "\n")
            file.flush()

        try:
            run_job(job, emit)
        except Exception as error:
            emit({"event": "crash", **describe_error(error)})
            return CRASHED
    return 0
