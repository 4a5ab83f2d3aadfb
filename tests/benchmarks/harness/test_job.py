from __future__ import annotations

import json
import time

import pytest

from benchmarks.harness.job import CRASHED, Job, run_logged, run_tasks


def job(*tasks: str, seconds: float = 60) -> Job:
    return Job("accuracy", "job", tasks, time.time() + seconds, "torch")


def test_a_job_survives_json():
    original = Job("timing", "t", ("a",), 1.5, "triton", True, ("quack",))
    assert Job.from_json(original.to_json()) == original


def test_each_task_begins_ends_and_releases_memory():
    events = []
    run_tasks(job("a", "b"), lambda task: {"of": task}, events.append, lambda: events.append("released"))
    assert events == [
        {"event": "begin", "task": "a"}, {"event": "end", "task": "a", "record": {"of": "a"}}, "released",
        {"event": "begin", "task": "b"}, {"event": "end", "task": "b", "record": {"of": "b"}}, "released",
    ]  # fmt: skip


def test_tasks_that_would_end_too_late_are_dropped(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    events = []

    def run_task(task):
        now[0] += 2
        return {}

    run_tasks(job(*"abcde", seconds=5), run_task, events.append)
    kinds = {kind: [event["task"] for event in events if event["event"] == kind] for kind in ("end", "dropped")}
    assert kinds == {"end": ["a", "b"], "dropped": ["c", "d", "e"]}  # c would begin in time, but end after it


def test_a_task_is_judged_by_those_of_its_kind(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    events = []

    def run_task(task):
        now[0] += 4 if task.startswith("long: ") else 0.25
        return {}

    tasks = ("long: a", "short: a", "long: b", "long: c", "short: b")
    run_tasks(job(*tasks, seconds=9), run_task, events.append)
    assert [event["task"] for event in events if event["event"] == "dropped"] == ["long: c"]


@pytest.mark.parametrize("crashes", [False, True])
def test_events_are_on_disk_when_the_process_ends(tmp_path, crashes):
    log = tmp_path / "log"
    log.write_text("{}\n")  # the log is appended to

    def run_job(job, emit):
        emit({"event": "begin", "task": "a"})
        assert len(log.read_text().splitlines()) == 2  # at once
        if crashes:
            raise RuntimeError("CUDA error\nmore")

    assert run_logged(job("a"), run_job, log) == (CRASHED if crashes else 0)
    events = [json.loads(line) for line in log.read_text().splitlines()][2:]
    assert [event["sentence"] for event in events] == (["RuntimeError: CUDA error"] if crashes else [])
