"""Processes that share the jobs, each of one thread; with one worker, this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from multiprocessing import get_context, parent_process
from pathlib import Path

from benchmarks.study.perform import Makers, perform
from benchmarks.study.plan import Job, Plan
from benchmarks.study.results import Line


def worker_pool(num_workers: int) -> AbstractContextManager[Executor | None]:
    """Return a pool of processes that end with this one, or None for one worker."""
    if num_workers == 1:
        return nullcontext()
    return ProcessPoolExecutor(num_workers, mp_context=get_context("spawn"), initializer=_end_with_parent)


def performed(pool: Executor | None, jobs: Sequence[Job], folder: Path, plan: Plan, makers: Makers) -> Iterator[Line]:
    """Yield the lines of jobs as they come. Writing them is left to the caller, so that no two lines mix."""
    if pool is None:
        yield from (perform(job, folder, plan, makers) for job in jobs)
        return
    futures = [pool.submit(perform, job, folder, plan, makers) for job in jobs]
    try:
        for future in as_completed(futures):
            yield future.result()
    finally:
        for future in futures:
            future.cancel()


def _end_with_parent() -> None:
    """A killed parent leaves its workers waiting for jobs: each holds the other end of its own queue."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
