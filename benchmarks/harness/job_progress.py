"""How far a job is, by the events of its worker, and where its results go."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from benchmarks.harness.job import Job


class ResultSink(Protocol):
    """Takes the results of all jobs, in the process that started them."""

    def record(self, job: Job, task: str, record: dict[str, Any]) -> None: ...

    def dropped(self, job: Job, task: str) -> None: ...

    def crashed(self, job: Job, task: str | None, provider: str | None, crash: dict[str, str]) -> None: ...

    def tick(self) -> None:
        """Called often: a chance to save."""


@dataclass
class JobProgress:
    """What the events of a worker tell so far; results are handed on to `sink`."""

    job: Job
    sink: ResultSink
    remaining: list[str] = field(init=False)
    task: str | None = None
    provider: str | None = None
    crash: dict[str, str] | None = None
    heard_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.remaining = list(self.job.tasks)

    def feed(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        self.heard_at = time.monotonic()
        if kind == "begin":
            self.task, self.provider = event["task"], None
        elif kind == "at":
            self.provider = event["provider"]
        elif kind == "end":
            self.sink.record(self.job, event["task"], event["record"])
            self._done(event["task"])
        elif kind == "dropped":
            self.sink.dropped(self.job, event["task"])
            self._done(event["task"])
        elif kind == "crash":
            self.crash = {"sentence": event["sentence"], "traceback": event["traceback"]}

    def after_crash(self, crash: dict[str, str]) -> Job | None:
        """Report the crash; return the job that carries on, or None if nothing is left.

        A task whose provider is known begins again without it; another counts as done.
        """
        self.sink.crashed(self.job, self.task, self.provider, self.crash or crash)
        skip = self.job.skip
        if self.task is not None and self.provider is not None and self.provider not in skip:
            skip = (*skip, self.provider)
        elif self.task is not None:
            self._done(self.task)
        elif not self.remaining or self.remaining == list(self.job.tasks):
            # It died before its first task, or after its last: another start would end the same way.
            self.drop_rest()
        return replace(self.job, tasks=tuple(self.remaining), skip=skip) if self.remaining else None

    def drop_rest(self) -> None:
        for task in self.remaining:
            self.sink.dropped(self.job, task)
        self.remaining = []

    def _done(self, task: str) -> None:
        self.remaining.remove(task)
        self.task = self.provider = None
