"""What tests of several rooms run on: this CPU, a tiny shape, and gates that are green."""

from __future__ import annotations

import torch

from benchmarks.harness.run_config import RunConfig

HERE = RunConfig(torch.device("cpu"), "torch")
SMOKE = RunConfig(torch.device("cpu"), "torch", is_smoke=True)
SMOKE_KERNELS = RunConfig(torch.device("cpu"), "triton", is_smoke=True)
ON_GPU = RunConfig(torch.device("cuda"), "triton")
SHAPE = (20, 16, 300)  # N, D, V


class Sink:
    """Keeps what a supervisor reports."""

    def __init__(self) -> None:
        self.records: dict[str, dict] = {}
        self.dropped_tasks: list[str] = []
        self.crashes: list[tuple] = []
        self.ticks = 0

    def record(self, job, task, record):
        assert task not in self.records
        self.records[task] = record

    def dropped(self, job, task):
        self.dropped_tasks.append(task)

    def crashed(self, job, task, provider, crash):
        self.crashes.append((task, provider, crash))

    def tick(self):
        self.ticks += 1
