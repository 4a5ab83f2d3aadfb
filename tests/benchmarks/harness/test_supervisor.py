"""Workers that finish, crash, hang and run late, played by a script without torch."""

from __future__ import annotations

import sys
import time

import pytest

from benchmarks.harness import supervisor
from benchmarks.harness.job import Job
from tests.benchmarks.support import Sink

# Says what the tasks of its job tell it to: a word each.
WORKER = """
import json, os, sys, time
job, log = json.loads(sys.argv[1]), open(sys.argv[2], "a")
def emit(**event): log.write(json.dumps(event) + "\\n"); log.flush()
if "die at once" in job["tasks"][0]: sys.exit("no driver")
for task in job["tasks"]:
    emit(event="begin", task=task)
    for provider in ("fine", "bad"):
        if "provider" in task and provider not in job["skip"]:
            emit(event="at", provider=provider)
            if provider == "bad": print("illegal memory access", file=sys.stderr); os._exit(3)
    if "crash" in task: emit(event="crash", sentence="CUDA error", traceback="where"); sys.exit(3)
    if "kill" in task: os.kill(os.getpid(), 9)
    if "hang" in task: time.sleep(60)
    emit(event="end", task=task, record={"skip": job["skip"]})
    if "leave" in task: sys.exit(3)
    if "quit" in task: sys.exit(0)
"""


def job(*tasks: str, name: str = "job") -> Job:
    return Job("accuracy", name, tasks, time.time() + 60, "torch")


@pytest.fixture
def run(tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(WORKER)

    def run(*jobs: Job, seconds: float = 30, task_seconds: float = 20, num_workers: int = 2) -> Sink:
        sink = Sink()
        supervisor.run_in_processes(
            jobs, sink, lambda job, log: [sys.executable, "-S", str(script), job.to_json(), str(log)],
            num_workers=num_workers, stop_at=time.time() + seconds, task_seconds=task_seconds,
        )  # fmt: skip
        return sink

    return run


def test_jobs_that_finish_are_recorded_once(run):
    sink = run(job("a", "b"), job("c", name="other"), job("d"), num_workers=2)
    assert set(sink.records) == {"a", "b", "c", "d"} and not sink.crashes and not sink.dropped_tasks
    assert sink.ticks > 0


@pytest.mark.parametrize("how", ["crash", "kill"])
def test_after_a_crash_the_other_tasks_run(run, how):
    sink = run(job("a", how, "b"))
    assert set(sink.records) == {"a", "b"}
    ((task, provider, crash),) = sink.crashes
    assert (task, provider) == (how, None)
    assert crash["sentence"] == ("CUDA error" if how == "crash" else "the process ended with status -9")


def test_a_task_whose_provider_crashed_begins_again_without_it(run):
    sink = run(job("provider", "b"))
    assert sink.records == {"provider": {"skip": ["bad"]}, "b": {"skip": ["bad"]}}
    ((task, provider, crash),) = sink.crashes
    assert (task, provider) == ("provider", "bad") and "illegal memory access" in crash["traceback"]


def test_a_worker_that_ends_between_tasks_is_followed_by_another(run):
    sink = run(job("leave", "b", "quit", "c", "leave again"))
    assert set(sink.records) == {"leave", "b", "quit", "c", "leave again"} and not sink.dropped_tasks
    assert [task for task, *_ in sink.crashes] == [None, None, None]


def test_a_worker_that_never_begins_is_not_started_for_ever(run):
    sink = run(job("die at once", "b"), job("c"))
    assert set(sink.records) == {"c"} and sink.dropped_tasks == ["die at once", "b"]
    ((task, _, crash),) = sink.crashes
    assert task is None and "no driver" in crash["traceback"]


def test_a_hung_task_is_stopped_and_the_next_one_runs(run):
    sink = run(job("a", "hang", "b"), task_seconds=0.7)
    assert set(sink.records) == {"a", "b"}
    ((task, _, crash),) = sink.crashes
    assert task == "hang" and crash["sentence"] == "nothing was heard for 1 s, so it was stopped"


def test_when_time_is_up_the_rest_is_dropped_and_nothing_is_lost(run):
    start = time.monotonic()
    sink = run(job("a", "hang", "b"), job("c"), seconds=0.8, num_workers=1)
    assert time.monotonic() - start < 10
    assert set(sink.records) == {"a"} and not sink.crashes
    assert sorted(sink.dropped_tasks) == ["b", "c", "hang"]


def test_workers_are_stopped_when_the_run_is_interrupted(tmp_path):
    log = tmp_path / "alive"
    code = f"import time\nwhile True: open({str(log)!r}, 'a').write('.'); time.sleep(0.02)"

    class Impatient(Sink):
        def tick(self):
            if log.exists():
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        supervisor.run_in_processes(
            [job("a")], Impatient(), lambda *_: [sys.executable, "-S", "-c", code], num_workers=1, stop_at=time.time() + 20, task_seconds=20,
        )  # fmt: skip
    size = log.stat().st_size
    time.sleep(0.1)
    assert log.stat().st_size == size


def test_jobs_run_here_one_after_another():
    sink = Sink()

    def run_job(job, emit):
        for task in job.tasks:
            emit({"event": "begin", "task": task})
            emit({"event": "end", "task": task, "record": {"of": job.name}})

    supervisor.run_here([job("a"), job("b", name="other")], sink, run_job)
    assert sink.records == {"a": {"of": "job"}, "b": {"of": "other"}} and sink.ticks == 2


def test_a_worker_is_a_module_that_gets_its_job_and_its_log(tmp_path):
    command = supervisor.worker_command("package.worker")(job("a"), tmp_path / "log")
    assert command[:3] == [sys.executable, "-m", "package.worker"] and command[4] == str(tmp_path / "log")
    assert Job.from_json(command[3]).tasks == ("a",)
