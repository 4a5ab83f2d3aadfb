from __future__ import annotations

import time

import pytest

from benchmarks.gpu import worker
from benchmarks.gpu.checks.matrix import jobs
from benchmarks.harness import supervisor
from benchmarks.harness.job import Job
from benchmarks.ops.cases import cases_of
from tests.benchmarks.support import GREEN, HERE, SMOKE, Sink


@pytest.mark.parametrize(("config", "suite"), [(SMOKE, "smoke"), (HERE, "gpu")])
def test_the_tasks_are_the_checks_and_the_cases(config, suite):
    names = worker.task_names(config)
    assert names["timing"] == {"timing": tuple(cases_of(suite))}
    assert names["accuracy"].keys() == jobs(config).keys()


@pytest.mark.parametrize("gates", [GREEN, {}])
def test_a_timed_case_says_which_provider_is_at_work_and_heeds_the_gates(gates):
    gates = {"linear_token_stats": gates}
    job = Job("timing", "timing", ("smoke-stats",), time.time() + 60, "torch", True, gates, ("logits in float32",))
    events = []
    worker.run_job(job, events.append)
    assert [event["event"] for event in events if event["event"] != "at"] == ["begin", "end"]
    assert {"event": "at", "provider": "bare matrix products"} in events
    rows = {row["provider"]: row for row in events[-1]["record"]["providers"]}
    assert ("median_ms" in rows["lift_kernels"]) == bool(gates["linear_token_stats"])
    assert "crashed before" in rows["logits in float32"]["error"]


def test_the_worker_writes_what_the_supervisor_reads():
    first = jobs(SMOKE)["graph"][0].name
    sink = Sink()
    job = Job("accuracy", "graph", (first, "no such check"), time.time() + 120, "torch", is_smoke=True)
    supervisor.run_in_processes(
        [job], sink, supervisor.worker_command("benchmarks.gpu.worker"), num_workers=1, stop_at=time.time() + 120,
        task_seconds=100,
    )  # fmt: skip
    assert set(sink.records) == {first} and sink.records[first]["check"] == first
    ((task, _, crash),) = sink.crashes
    assert task == "no such check" and crash["sentence"] == "KeyError: 'no such check'"
