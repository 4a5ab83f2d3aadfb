from __future__ import annotations

import time

import pytest

from benchmarks.gpu import worker
from benchmarks.gpu.measurements.catalogue import SECTIONS
from benchmarks.harness import supervisor
from benchmarks.harness.job import Job
from tests.benchmarks.support import HERE, SMOKE, Sink


@pytest.mark.parametrize("config", [SMOKE, HERE], ids=["smoke", "real"])
def test_every_section_runs_in_the_order_of_what_settles_most(config):
    stages = worker.task_names(config, SECTIONS)
    tasks = [task for jobs in stages.values() for names in jobs.values() for task in names]
    assert set(tasks) == worker.tasks(config).keys() and len(set(tasks)) == len(tasks)
    assert tuple(dict.fromkeys(map(worker.section_of, tasks))) == SECTIONS
    assert all(len(jobs) == 1 for stage, jobs in stages.items() if stage not in worker.SIDE_BY_SIDE)
    assert len([task for task in tasks if "compiled" in task and not task.startswith("accuracy")]) == 2
    assert [worker.section_of(task) for task in tasks[-2:]] == ["compiled", "compiled"]


def test_sections_can_be_chosen():
    assert worker.task_names(SMOKE, ["allocator", "repeats"]).keys() == {"right or wrong", "first numbers"}
    (jobs,) = worker.task_names(SMOKE, ["row_kernel"]).values()
    assert jobs == {"first numbers": ("row_kernel: 4 x 32",)}


def test_a_comparison_says_who_is_at_work_and_leaves_out_who_crashed():
    task = "compiled: N=8 frozen"
    skip = ("logits in float32, torch.compile",)
    job = Job("rest", "rest", (task,), time.time() + 60, "torch", True, skip)
    events = []
    worker.run_job(job, events.append)
    assert [event["event"] for event in events if event["event"] != "at"] == ["begin", "end"]
    assert {"event": "at", "provider": "ours"} in events
    rows = events[-1]["record"]["times"]
    assert rows["ours"]["median_ms"] > 0 and "process ended before" in rows[skip[0]]["error"]


def test_the_worker_writes_what_the_supervisor_reads():
    first = "allocator: 3 row counts frozen"
    sink = Sink()
    job = Job("rest", "rest", (first, "no such task"), time.time() + 120, "torch", is_smoke=True)
    supervisor.run_in_processes(
        [job], sink, supervisor.worker_command("benchmarks.gpu.worker"), num_workers=1, stop_at=time.time() + 120,
        task_seconds=100,
    )  # fmt: skip
    assert set(sink.records) == {first} and sink.records[first]["section"] == "allocator"
    ((task, _, crash),) = sink.crashes
    assert task == "no such task" and crash["sentence"] == "KeyError: 'no such task'"
