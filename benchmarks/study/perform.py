"""One job, in one thread: what it found, and how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.study.plan import Job, Plan

Makers = Mapping[str, Callable[[Job, Path, Plan], dict[str, Any]]]
"""For each kind of job the function that does it, and returns what it found; `seconds` in it are kept apart."""


def perform(job: Job, folder: Path, plan: Plan, makers: Makers) -> dict[str, Any]:
    """Return the line of a job: all but its seconds follows from job and plan, to the bit, on one kind of machine."""
    torch.set_num_threads(1)  # another number adds in another order
    began = time.perf_counter()
    found = makers[job.kind](job, folder, plan)
    seconds = {"all": time.perf_counter() - began} | found.pop("seconds", {})
    return {"job": asdict(job), "found": found, "seconds": {name: round(value, 2) for name, value in seconds.items()}}
