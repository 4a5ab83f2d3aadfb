"""What the processes of a GPU run do: a job of checks, or of timed cases.

`python -m benchmarks.gpu.worker JOB LOG`, where JOB is a `Job` as JSON; the supervisor starts it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.gpu.checks.check import run_check
from benchmarks.gpu.checks.matrix import jobs
from benchmarks.harness.job import Emit, Job, run_logged, run_tasks
from benchmarks.harness.run_config import RunConfig
from benchmarks.harness.timing import rounds_that_fit
from benchmarks.ops.cases import Case, cases_of
from benchmarks.ops.comparison import Comparison

ACCURACY, TIMING = "accuracy", "timing"
_SMOKE_ROUNDS, _ROUNDS = rounds_that_fit(window_seconds=0.01), rounds_that_fit(window_seconds=1.5)


def timed_cases(config: RunConfig) -> dict[str, Case]:
    """Return the cases that are timed, the most important first."""
    return cases_of("smoke" if config.is_smoke else "gpu")


def task_names(config: RunConfig) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return section -> job -> tasks."""
    accuracy = {job: tuple(check.name for check in found) for job, found in jobs(config).items()}
    return {ACCURACY: accuracy, TIMING: {"timing": tuple(timed_cases(config))}}


def run_job(job: Job, emit: Emit) -> None:
    """Run the tasks of `job`; besides the events of `run_tasks`, a timed case emits "at" for each provider."""
    config = RunConfig.here(is_smoke=job.is_smoke, backend=job.backend)
    run_tasks(job, _task_runner(job, config, emit), emit, config.release_memory)


def _task_runner(job: Job, config: RunConfig, emit: Emit) -> Callable[[str], dict[str, Any]]:
    if job.section == ACCURACY:
        checks = {check.name: check for check in jobs(config)[job.name]}
        return lambda task: run_check(checks[task], config)
    cases = timed_cases(config)
    num_rounds = _SMOKE_ROUNDS if config.is_smoke else _ROUNDS

    def compare(task: str) -> dict[str, Any]:
        case = cases[task]
        return Comparison(
            case, config, job.gates.get(case.op, {}), num_rounds, skip=job.skip,
            announce=lambda name: emit({"event": "at", "provider": name}),
        ).run()  # fmt: skip

    return compare


if __name__ == "__main__":
    sys.exit(run_logged(Job.from_json(sys.argv[1]), run_job, Path(sys.argv[2])))
