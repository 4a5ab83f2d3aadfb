"""Runs jobs in worker processes, and goes on after one that crashes, hangs or runs out of time.

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
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.job import Emit, Job
from benchmarks.harness.job_progress import JobProgress, ResultSink

_ROOT = Path(__file__).resolve().parents[2]
_POLL_SECONDS = 0.1
# The command line of a worker: it runs the job, and appends its events to the log (see `run_logged`).
WorkerCommand = Callable[[Job, Path], list[str]]


def worker_command(module: str) -> WorkerCommand:
    """Return the command `python -m MODULE JOB LOG`, with the job as JSON."""
    return lambda job, log: [sys.executable, "-m", module, job.to_json(), str(log)]


def run_here(jobs: Iterable[Job], sink: ResultSink, run_job: Callable[[Job, Emit], None]) -> None:
    """Run the jobs in this process, one after another: for smoke tests."""
    for job in jobs:
        run_job(job, JobProgress(job, sink).feed)
        sink.tick()


def run_in_processes(
    jobs: Iterable[Job],
    sink: ResultSink,
    command: WorkerCommand,
    *,
    num_workers: int,
    stop_at: float,
    task_seconds: float,
) -> None:
    """Run every job, `num_workers` at a time; at `stop_at` (time.time()) stop what still runs and drop the rest.

    A worker from which nothing is heard for `task_seconds` is taken for hung, which counts as a crash.
    """
    waiting = list(jobs)
    workers: list[_Worker] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            while waiting or workers:
                while waiting and (time.time() >= stop_at or len(workers) < num_workers):
                    job = waiting.pop(0)
                    if time.time() >= stop_at:
                        JobProgress(job, sink).drop_rest()
                    else:
                        workers.append(_start(job, sink, Path(folder), command))
                time.sleep(_POLL_SECONDS)
                for worker in list(workers):
                    is_over, following = _look_after(worker, stop_at, task_seconds)
                    if is_over:
                        workers.remove(worker)
                    if following is not None:
                        waiting.insert(0, following)
                sink.tick()
        finally:
            for worker in workers:
                worker.process.kill()
                worker.process.wait()


@dataclass
class _Worker:
    progress: JobProgress
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


def _look_after(worker: _Worker, stop_at: float, task_seconds: float) -> tuple[bool, Job | None]:
    """Take in a worker's news and stop it if it must: whether it is over, and the job that carries on, if any."""
    progress, has_ended = worker.progress, worker.process.poll() is not None
    worker.read_events()
    is_hung = not has_ended and time.monotonic() - progress.heard_at > task_seconds
    is_late = time.time() >= stop_at
    if not (has_ended or is_hung or is_late):
        return False, None
    if not has_ended:
        worker.process.kill()
        worker.process.wait()
        worker.read_events()
    following = None
    if is_hung:
        following = progress.after_crash(worker.crash(f"nothing was heard for {task_seconds:.0f} s, so it was stopped"))
    elif has_ended and (progress.remaining or worker.process.returncode != 0):
        following = progress.after_crash(worker.crash(f"the process ended with status {worker.process.returncode}"))
    if following is None:
        progress.drop_rest()
    return True, following


def _start(job: Job, sink: ResultSink, folder: Path, command: WorkerCommand) -> _Worker:
    number = len(list(folder.iterdir()))
    log, stderr = folder / f"{number}.jsonl", folder / f"{number}.stderr"
    log.touch()
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    with stderr.open("wb") as errors:
        process = subprocess.Popen(
            command(job, log), cwd=_ROOT, env={**os.environ, "PYTHONPATH": path}, stdout=errors, stderr=errors
        )
    return _Worker(JobProgress(job, sink), process, log, stderr)
