"""What the processes of a GPU run do: jobs of checks and of measurements.

`python -m benchmarks.gpu.worker JOB LOG`, where JOB is a `Job` as JSON; the supervisor starts it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from benchmarks.gpu.checks import matrix
from benchmarks.gpu.checks.check import Check, run_check
from benchmarks.gpu.measurements.catalogue import (
    ACCURACY,
    AGAINST_RIVALS,
    LAST,
    PARTS,
    REPEATS,
    RIGHT,
    measurements,
)
from benchmarks.gpu.measurements.measurement import Measurement, Session, run_measurement
from benchmarks.harness.job import Emit, Job, run_logged, run_tasks
from benchmarks.harness.run_config import RunConfig

# Stages follow each other. Checks run side by side, which spreads their compilation; measurements alone on the card.
FIRST_CHECKS, FIRST_MEASUREMENTS, RIVALS, MATRIX, REST = "right or wrong", "first numbers", "rivals", "matrix", "rest"
SIDE_BY_SIDE = (FIRST_CHECKS, MATRIX)
_MEASURED = {FIRST_MEASUREMENTS: PARTS, RIVALS: (AGAINST_RIVALS,), REST: LAST}

Jobs = dict[str, tuple[str, ...]]


def tasks(config: RunConfig) -> dict[str, Check | Measurement]:
    """Return all checks and measurements by the names of their tasks."""
    checks = {
        name: check for jobs in _checks(config).values() for found in jobs.values() for name, check in found.items()
    }
    return {**checks, **measurements(config)}


def task_names(config: RunConfig, sections: Collection[str]) -> dict[str, Jobs]:
    """Return stage -> job -> tasks, in order, those of `sections` only."""
    stages: dict[str, Jobs] = {}
    for stage, jobs in _checks(config).items():
        chosen_of = {job: tuple(name for name in found if section_of(name) in sections) for job, found in jobs.items()}
        stages[stage] = {job: chosen for job, chosen in chosen_of.items() if chosen}
    names = measurements(config)
    for stage, in_stage in _MEASURED.items():
        chosen = tuple(name for name in names if section_of(name) in in_stage and section_of(name) in sections)
        stages[stage] = {stage: chosen} if chosen else {}
    order = (FIRST_CHECKS, FIRST_MEASUREMENTS, RIVALS, MATRIX, REST)
    return {stage: stages[stage] for stage in order if stages[stage]}


def section_of(task: str) -> str:
    return task.partition(": ")[0]


def run_job(job: Job, emit: Emit) -> None:
    """Run the tasks of `job`; besides the events of `run_tasks`, a comparison emits "at" for each implementation."""
    config = RunConfig.here(is_smoke=job.is_smoke, backend=job.backend)
    session = Session(config, job.skip, lambda name: emit({"event": "at", "provider": name}))
    run_tasks(job, _task_runner(session), emit, config.release_memory)


def _checks(config: RunConfig) -> dict[str, dict[str, dict[str, Check]]]:
    """Stage -> job -> checks by their tasks' names."""
    right, repeats = matrix.right(config), matrix.repeats(config)
    return {
        FIRST_CHECKS: {
            job: _named(RIGHT, checks) | _named(REPEATS, repeats.get(job, [])) for job, checks in right.items()
        },
        MATRIX: {job: _named(ACCURACY, checks) for job, checks in matrix.jobs(config).items()},
    }


def _named(section: str, checks: list[Check]) -> dict[str, Check]:
    return {f"{section}: {check.name}": check for check in checks}


def _task_runner(session: Session) -> Callable[[str], dict[str, Any]]:
    found = tasks(session.config)

    def run(task: str) -> dict[str, Any]:
        what = found[task]
        if isinstance(what, Check):
            return run_check(what, session.config)
        return run_measurement(what, session)

    return run


if __name__ == "__main__":
    sys.exit(run_logged(Job.from_json(sys.argv[1]), run_job, Path(sys.argv[2])))
