"""One measurement: a name, a function that returns a record, and whose gate marks its speeds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from benchmarks.harness.error_record import describe_error
from benchmarks.harness.run_config import RunConfig

Record = dict[str, Any]


@dataclass(frozen=True)
class Session:
    """What a measurement is given: where it runs, whom to leave out, and whom to tell what comes next."""

    config: RunConfig
    skip: tuple[str, ...] = ()  # implementations that ended a process before
    announce: Callable[[str], None] = lambda name: None


@dataclass(frozen=True)
class Outcome:
    """What a measurement found.

    Attributes:
        times: label -> summary of `harness.timing.summarize`, in milliseconds on the device, with what belongs to it.
        own: label of `times` -> `gate_key`, where it is a speed of this package's ops: that gate marks it.
        numbers: what follows from them, and other facts; names end in their unit.
        shape: of what was timed, such as {"N": 4096, "D": 4096, "V": 126464}.
        wrong: why results of ours are wrong, or None.
        missing: why nothing was measured, or None.
    """

    times: dict[str, dict[str, Any]] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, Any] = field(default_factory=dict)
    shape: dict[str, Any] = field(default_factory=dict)
    wrong: str | None = None
    missing: str | None = None


@dataclass(frozen=True)
class Measurement:
    """One function to call, of a section and with a name there."""

    section: str
    name: str
    run: Callable[[Session], Outcome]

    @property
    def task(self) -> str:
        """Its name among all measurements and checks of a run."""
        return f"{self.section}: {self.name}"


def gate_key(op: str, path: str) -> str:
    """Name the checks that gate speeds of `op` by `path`."""
    return f"{op}, {path}"


def run_measurement(measurement: Measurement, session: Session) -> Record:
    """Run one and return its record: names, `Outcome`'s fields, seconds, and an error where it raised."""
    record: Record = {
        "section": measurement.section, "name": measurement.name,
        "command": f"python3 -u -m benchmarks.gpu --section {measurement.section}",
    }  # fmt: skip
    start = time.monotonic()
    try:
        torch.manual_seed(0)
        outcome = measurement.run(session)
        session.config.synchronize()
    except Exception as error:
        description = describe_error(error)
        record |= {"error": description["sentence"], "traceback": description["traceback"]}
    else:
        record |= {"shape": outcome.shape, "times": outcome.times, "own": outcome.own, "numbers": outcome.numbers}
        record |= {name: value for name in ("wrong", "missing") if (value := getattr(outcome, name)) is not None}
    return {**record, "seconds": round(time.monotonic() - start, 2)}
