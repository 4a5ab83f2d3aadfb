"""Runs orders in worker processes, and goes on after one that crashes, hangs or runs out of time.

An illegal memory access ends every later call of its process: only another process can carry on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from benchmarks.gpu.worker import Order, execute

_ROOT = Path(__file__).resolve().parents[2]
_POLL_SECONDS = 0.1


class Book(Protocol):
    """Where results go."""

    def record(self, order: Order, task: str, record: dict[str, Any]) -> None: ...

    def dropped(self, order: Order, task: str) -> None: ...

    def crashed(self, order: Order, task: str | None, provider: str | None, crash: dict[str, str]) -> None: ...

    def tick(self) -> None:
        """Called often: a chance to save."""


@dataclass
class Progress:
    """What the events of a worker tell so far."""

    order: Order
    book: Book
    remaining: list[str] = field(init=False)
    task: str | None = None
    provider: str | None = None
    crash: dict[str, str] | None = None
    heard_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.remaining = list(self.order.tasks)

    def feed(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        self.heard_at = time.monotonic()
        if kind == "begin":
            self.task, self.provider = event["task"], None
        elif kind == "at":
            self.provider = event["provider"]
        elif kind == "end":
            self.book.record(self.order, event["task"], event["record"])
            self._done(event["task"])
        elif kind == "dropped":
            self.book.dropped(self.order, event["task"])
            self._done(event["task"])
        elif kind == "crash":
            self.crash = {"sentence": event["sentence"], "traceback": event["traceback"]}

    def after_crash(self, crash: dict[str, str]) -> Order | None:
        """Note the crash; the order that carries on, or None if nothing is left.

        A task whose provider is known begins again without it; another counts as done.
        """
        self.book.crashed(self.order, self.task, self.provider, self.crash or crash)
        skip = self.order.skip
        if self.task is not None and self.provider is not None and self.provider not in skip:
            skip = (*skip, self.provider)
        elif self.task is not None:
            self._done(self.task)
        elif not self.remaining or self.remaining == list(self.order.tasks):
            # It died before its first task, or after its last: another start would end the same way.
            self.drop_rest()
        return replace(self.order, tasks=tuple(self.remaining), skip=skip) if self.remaining else None

    def drop_rest(self) -> None:
        for task in self.remaining:
            self.book.dropped(self.order, task)
        self.remaining = []

    def _done(self, task: str) -> None:
        self.remaining.remove(task)
        self.task = self.provider = None


@dataclass
class _Run:
    progress: Progress
    process: subprocess.Popen[bytes]
    log: Path
    stderr: Path
    offset: int = 0

    def read_events(self) -> None:
        with self.log.open("rb") as file:
            file.seek(self.offset)
            lines = file.read()
        whole = lines[: lines.rfind(b"\n") + 1]
        self.offset += len(whole)
        for line in whole.splitlines():
            self.progress.feed(json.loads(line))

    def crash(self, sentence: str) -> dict[str, str]:
        output = self.stderr.read_text(encoding="utf-8", errors="replace")
        return {"sentence": sentence, "traceback": output[-6000:]}


def run_here(orders: Iterable[Order], book: Book) -> None:
    """In this process, one after another: for smoke tests."""
    for order in orders:
        execute(order, Progress(order, book).feed)
        book.tick()


def run_in_processes(
    orders: Iterable[Order],
    book: Book,
    *,
    num_workers: int,
    stop_at: float,
    task_seconds: float,
    command: Callable[[Order, Path], list[str]] | None = None,
) -> None:
    """Run every order, `num_workers` at a time; at `stop_at` (time.time()) stop what still runs and drop the rest.

    A worker from which nothing is heard for `task_seconds` is taken for hung, which counts as a crash.
    """
    waiting = list(orders)
    runs: list[_Run] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            while waiting or runs:
                while waiting and (time.time() >= stop_at or len(runs) < num_workers):
                    order = waiting.pop(0)
                    if time.time() >= stop_at:
                        Progress(order, book).drop_rest()
                    else:
                        runs.append(_start(order, book, Path(folder), command or _command))
                time.sleep(_POLL_SECONDS)
                for run in list(runs):
                    is_over, following = _look_after(run, stop_at, task_seconds)
                    if is_over:
                        runs.remove(run)
                    if following is not None:
                        waiting.insert(0, following)
                book.tick()
        finally:
            for run in runs:
                run.process.kill()
                run.process.wait()


def _look_after(run: _Run, stop_at: float, task_seconds: float) -> tuple[bool, Order | None]:
    """Take in a worker's news and stop it if it must: whether it is over, and the order that carries on, if any."""
    progress, has_ended = run.progress, run.process.poll() is not None
    run.read_events()
    is_hung = not has_ended and time.monotonic() - progress.heard_at > task_seconds
    is_late = time.time() >= stop_at
    if not (has_ended or is_hung or is_late):
        return False, None
    if not has_ended:
        run.process.kill()
        run.process.wait()
        run.read_events()
    following = None
    if is_hung:
        following = progress.after_crash(run.crash(f"nothing was heard for {task_seconds:.0f} s, so it was stopped"))
    elif has_ended and (progress.remaining or run.process.returncode != 0):
        following = progress.after_crash(run.crash(f"the process ended with status {run.process.returncode}"))
    if following is None:
        progress.drop_rest()
    return True, following


def _start(order: Order, book: Book, folder: Path, command: Callable[[Order, Path], list[str]]) -> _Run:
    number = len(list(folder.iterdir()))
    log, stderr = folder / f"{number}.jsonl", folder / f"{number}.stderr"
    log.touch()
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    with stderr.open("wb") as errors:
        process = subprocess.Popen(
            command(order, log), cwd=_ROOT, env={**os.environ, "PYTHONPATH": path}, stdout=errors, stderr=errors
        )
    return _Run(Progress(order, book), process, log, stderr)


def _command(order: Order, log: Path) -> list[str]:
    return [sys.executable, "-m", "benchmarks.gpu.worker", order.to_json(), str(log)]
