"""The record of a GPU run: takes results as they come, and writes the JSON again whenever something is new."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.gpu.checks.check import CROSS_ENTROPY, PATHS, STATISTICS, Check, gate
from benchmarks.gpu.worker import ACCURACY
from benchmarks.harness.job import Job
from benchmarks.harness.json_record import write_record
from benchmarks.ops.providers import is_own

_SAVE_SECONDS = 1.0
WRONG = ("failed", "error")


@dataclass
class Report:
    """A `ResultSink` that prints as it goes and keeps everything in `path`."""

    path: Path
    facts: dict[str, Any]
    checks_by_name: Mapping[str, Check]
    accuracy: list[dict[str, Any]] = field(default_factory=list)
    cases: list[dict[str, Any]] = field(default_factory=list)
    dropped_tasks: list[dict[str, str]] = field(default_factory=list)
    crashes: list[dict[str, Any]] = field(default_factory=list)
    _is_saved: bool = False
    _saved_at: float = 0.0

    def record(self, job: Job, task: str, record: dict[str, Any]) -> None:
        self._is_saved = False
        if job.section == ACCURACY:
            self.accuracy.append({"job": job.name, **record})
            if record["status"] in WRONG:
                say(f"  {record['status'].upper()} {record['check']}: {record['sentence']}")
        else:
            self.cases.append(record)
            say(f"  {record['case']}")

    def dropped(self, job: Job, task: str) -> None:
        self._is_saved = False
        self.dropped_tasks.append({"section": job.section, "task": task})
        say(f"  dropped for lack of time: {task}")

    def crashed(self, job: Job, task: str | None, provider: str | None, crash: dict[str, str]) -> None:
        self._is_saved = False
        where = ", ".join(filter(None, (task, provider))) or "between tasks"
        self.crashes.append({"section": job.section, "job": job.name, "task": task, "provider": provider, **crash})
        say(f"  CRASH in {job.name} ({where}): {crash['sentence']}")
        if job.section == ACCURACY and task is not None:
            check = self.checks_by_name[task]
            self.accuracy.append(
                {
                    "job": job.name, "check": task, "op": check.op, "path": check.path, "dtype": check.dtype,
                    "gates": check.gates, "status": "error", "sentence": f"crashed: {crash['sentence']}",
                }
            )  # fmt: skip

    def tick(self) -> None:
        if not self._is_saved and time.monotonic() - self._saved_at >= _SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Write the JSON: a run that is killed leaves the last state."""
        write_record(self.path, self.to_json())
        self._is_saved, self._saved_at = True, time.monotonic()

    def to_json(self) -> dict[str, Any]:
        return {
            **self.facts, "gates": self.gates(), "accuracy": self.accuracy, "timing": self.cases,
            "dropped": self.dropped_tasks, "crashes": self.crashes,
        }  # fmt: skip

    def gates(self, dtype: str = "bfloat16") -> dict[str, dict[str, str]]:
        """Return op -> path -> gate, for inputs of `dtype`."""
        return {
            op: {path: gate(self.accuracy, op, path, dtype) for path in PATHS} for op in (CROSS_ENTROPY, STATISTICS)
        }

    def complaints(self) -> list[str]:
        """Return what makes the run fail: wrong or crashed checks, crashes, and errors of our own providers."""
        found = [f"{r['check']}: {r['sentence']}" for r in self.accuracy if r["status"] in WRONG]
        found += [
            f"{op} {path}: no check ran"
            for op, paths in self.gates().items()
            for path, gate in paths.items()
            if gate == "unchecked"
        ]
        found += [
            f"the job {c['job']} crashed: {c['sentence']}"
            for c in self.crashes
            if c["task"] is None and c["section"] == ACCURACY
        ]
        for case in self.cases:
            for row in case["providers"]:
                # A speed withheld for the accuracy section's sake is no news.
                sentence = row.get("error") or row.get("wrong")
                if sentence and is_own(row["provider"]):
                    found.append(f"{case['case']}, {row['provider']}: {sentence}")
        return found


def say(line: str) -> None:
    """Print at once, also into a pipe."""
    print(line, flush=True)
