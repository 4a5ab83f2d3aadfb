"""Tasks of a GPU run that reach into the kernels, by the kernels under the interpreter: on every supported triton."""

from __future__ import annotations

import time

import pytest

from benchmarks.gpu import worker
from benchmarks.gpu.measurements.catalogue import SECTIONS
from benchmarks.harness.job import Job
from tests.benchmarks.support import SMOKE_KERNELS

TASKS = (
    "right: statistics bfloat16 3x8x17 plain default",
    "pieces: N=5 as planned",
    "row_kernel: 4 x 32",
    "backward: N=8 head's gradient deferred",
    "steps: N=5 trained",
)


@pytest.fixture(scope="module")
def records():
    events = []
    worker.run_job(Job("s", "j", TASKS, time.time() + 600, "triton", is_smoke=True), events.append)
    return {event["task"]: event["record"] for event in events if event["event"] == "end"}


def test_they_are_tasks_of_a_run():
    assert set(TASKS) <= worker.tasks(SMOKE_KERNELS).keys()
    assert {worker.section_of(task) for task in TASKS} <= set(SECTIONS)


@pytest.mark.parametrize("task", TASKS)
def test_it_is_right_and_timed(records, task):
    record = records[task]
    assert "error" not in record and "wrong" not in record, record
    if "check" in record:
        assert record["status"] == "passed", record
    for label, row in record.get("times", {}).items():
        assert row["median_ms"] > 0 and "wrong" not in row, (label, row)
    assert record.get("status") == "passed" or record["times"] or record["missing"]
