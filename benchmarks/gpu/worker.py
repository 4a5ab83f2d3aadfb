"""One job of tasks in a process: what happens goes line by line into a log that outlives a crash.

`python -m benchmarks.gpu.worker ORDER LOG`, where ORDER is an `Order` as JSON; `supervisor` starts it.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.gpu import checks
from benchmarks.gpu.cases import gpu_cases
from benchmarks.gpu.comparison import Comparison
from benchmarks.gpu.setting import Setting

ACCURACY, TIMING = "accuracy", "timing"
LOST_DEVICE = 3  # exit status
Emit = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Order:
    section: str
    job: str
    tasks: tuple[str, ...]  # in this order
    deadline: float  # time.time() after which no task begins
    backend: str
    is_smoke: bool = False
    gates: dict[str, dict[str, str]] = field(default_factory=dict)  # op -> path -> gate
    skip: tuple[str, ...] = ()  # providers

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Order:
        values = json.loads(text)
        return cls(**{**values, "tasks": tuple(values["tasks"]), "skip": tuple(values["skip"])})


def task_names(setting: Setting) -> dict[str, dict[str, tuple[str, ...]]]:
    """Section -> job -> tasks."""
    accuracy = {job: tuple(check.name for check in found) for job, found in checks.jobs(setting).items()}
    return {ACCURACY: accuracy, TIMING: {"timing": tuple(gpu_cases(is_smoke=setting.is_smoke))}}


def execute(order: Order, emit: Emit) -> None:
    """Run the tasks in order; each emits "begin", perhaps "at", and "end" with its record."""
    setting = Setting.here(is_smoke=order.is_smoke, backend=order.backend)
    run = _runner(order, setting, emit)
    seconds: list[float] = []
    for task in order.tasks:
        start = time.time()
        if start + (statistics.median(seconds) if seconds else 0) > order.deadline:
            emit({"event": "dropped", "task": task})
            continue
        emit({"event": "begin", "task": task})
        record = run(task)
        emit({"event": "end", "task": task, "record": record})
        setting.free()  # raises where the device is lost, which ends this process
        seconds.append(time.time() - start)


def _runner(order: Order, setting: Setting, emit: Emit) -> Callable[[str], dict[str, Any]]:
    if order.section == ACCURACY:
        by_name = {check.name: check for check in checks.jobs(setting)[order.job]}
        return lambda task: checks.run_check(by_name[task], setting)
    cases = gpu_cases(is_smoke=order.is_smoke)

    def compare(task: str) -> dict[str, Any]:
        case = cases[task]
        announce = lambda name: emit({"event": "at", "provider": name})  # noqa: E731
        return Comparison(case, setting, order.gates.get(case.op, {}), order.skip, announce).run()

    return compare


def main(order: Order, log: Path) -> int:
    with log.open("a", encoding="utf-8") as file:

        def emit(event: dict[str, Any]) -> None:
            file.write(json.dumps(event) + "\n")
            file.flush()

        try:
            execute(order, emit)
        except Exception as error:
            emit({"event": "crash", **checks.describe(error)})
            return LOST_DEVICE
    return 0


if __name__ == "__main__":
    sys.exit(main(Order.from_json(sys.argv[1]), Path(sys.argv[2])))
