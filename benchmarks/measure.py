"""Time and peak memory of one step on a CPU."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from benchmarks.cases import CASES, Case
from benchmarks.providers import PROVIDERS, Step

Result = TypeVar("Result")


def times(steps: dict[str, Step], case: Case, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each round and provider. Providers take turns, so that a drift of the machine meets all alike."""
    inputs = case.inputs()
    measured: dict[str, list[float]] = {name: [] for name in steps}
    for round_number in range(rounds + 1):
        for name, step in steps.items():
            for tensor in inputs[:2]:
                tensor.grad = None
            start = time.perf_counter()
            step(*inputs)
            if round_number > 0:  # the first round warms up
                measured[name].append(1e3 * (time.perf_counter() - start))
    return measured


def summary(samples: list[float]) -> dict[str, float]:
    quantiles = statistics.quantiles(samples, n=5, method="inclusive")
    return {"median_ms": statistics.median(samples), "p20_ms": quantiles[0], "p80_ms": quantiles[-1]}


def peak_bytes(provider: str, case: Case) -> int:
    """Extra resident memory at its peak, gradients included, in a process of its own: earlier peaks do not hide it."""
    command = [sys.executable, "-m", "benchmarks.measure", provider, case.name, str(torch.get_num_threads())]
    output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    return json.loads(output.stdout.splitlines()[-1])


def _measure_here(provider: str, case: Case) -> int:
    step = PROVIDERS[provider]
    smoke = CASES["smoke-trained" if case.trains_head else "smoke-frozen"]
    step(*smoke.inputs())  # libraries load and pools open before the measurement
    inputs = case.inputs()
    return peak_of(lambda: step(*inputs))[1]


def peak_of(step: Callable[[], Result]) -> tuple[Result, int]:
    """What `step` returns, and this process's resident bytes at their peak beyond those before."""
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts again from the present size
    before = _status("VmRSS")
    result = step()
    return result, _status("VmHWM") - before


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) << 10
    raise RuntimeError(f"/proc/self/status has no {field}")


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[3]))
    print(json.dumps(_measure_here(sys.argv[1], CASES[sys.argv[2]])))
