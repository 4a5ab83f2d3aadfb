from __future__ import annotations

import pytest

from benchmarks.harness.job import Job
from benchmarks.harness.job_progress import JobProgress

CRASH = {"sentence": "the process ended", "traceback": ""}


class Sink:
    def __init__(self):
        self.calls = []

    def record(self, job, task, record):
        self.calls.append(("record", task, record))

    def dropped(self, job, task):
        self.calls.append(("dropped", task))

    def crashed(self, job, task, provider, crash):
        self.calls.append(("crashed", task, provider, crash["sentence"]))


@pytest.fixture
def progress():
    return JobProgress(Job("timing", "job", ("a", "b", "c"), 0.0, "torch"), Sink())


def test_results_are_handed_on_and_done_tasks_do_not_remain(progress):
    progress.feed({"event": "begin", "task": "a"})
    progress.feed({"event": "end", "task": "a", "record": {"x": 1}})
    progress.feed({"event": "dropped", "task": "b"})
    assert progress.sink.calls == [("record", "a", {"x": 1}), ("dropped", "b")] and progress.remaining == ["c"]


def test_a_crash_in_a_task_skips_it_and_says_what_the_worker_said(progress):
    progress.feed({"event": "begin", "task": "a"})
    progress.feed({"event": "crash", "sentence": "CUDA error", "traceback": ""})
    following = progress.after_crash(CRASH)
    assert following.tasks == ("b", "c") and following.skip == ()
    assert progress.sink.calls == [("crashed", "a", None, "CUDA error")]


def test_a_crash_in_a_provider_begins_the_task_again_without_it_once(progress):
    progress.feed({"event": "begin", "task": "a"})
    progress.feed({"event": "at", "provider": "bad"})
    following = progress.after_crash(CRASH)
    assert following.tasks == ("a", "b", "c") and following.skip == ("bad",)
    again = JobProgress(following, progress.sink)
    again.feed({"event": "begin", "task": "a"})
    again.feed({"event": "at", "provider": "bad"})
    assert again.after_crash(CRASH).tasks == ("b", "c")


def test_a_worker_that_never_began_is_not_followed(progress):
    assert progress.after_crash(CRASH) is None
    assert progress.sink.calls[1:] == [("dropped", "a"), ("dropped", "b"), ("dropped", "c")]
