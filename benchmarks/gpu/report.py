"""The record of a GPU run: each result is a line of JSON on disk and one on the screen before the next one begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.gpu.checks.check import CROSS_ENTROPY, PATHS, STATISTICS, Check, gate
from benchmarks.gpu.lines import check_line, measurement_lines, say
from benchmarks.gpu.measurements.measurement import Measurement, gate_key
from benchmarks.gpu.worker import section_of
from benchmarks.harness.job import Job
from benchmarks.harness.json_record import append_line, write_record

WRONG = ("failed", "error")


@dataclass
class Report:
    """A `ResultSink` that prints as it goes, and keeps everything in `lines` as it comes and in `path` at the end.

    A line of `lines` has one key: "run" with `facts`, or "check", "measurement", "dropped" or "crash" with its record.
    A measurement's gates there are those of the checks before it; `path` has those of all checks.

    Attributes:
        facts: of the run: command, versions, hardware; they head the file.
        tasks: what each task was to do.
        demands_checks: whether a speed that no check gates makes the run fail.
    """

    path: Path
    facts: dict[str, Any]
    tasks: Mapping[str, Check | Measurement]
    demands_checks: bool = True
    checks: list[dict[str, Any]] = field(default_factory=list)
    measurements: list[dict[str, Any]] = field(default_factory=list)
    dropped_tasks: list[str] = field(default_factory=list)
    crashes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def lines(self) -> Path:
        return self.path.with_suffix(".jsonl")

    def open(self) -> None:
        """Begin the file of lines; an OSError says now that the folder cannot be written to."""
        append_line(self.lines, {"run": self.facts})

    def record(self, job: Job, task: str, record: dict[str, Any]) -> None:
        if "check" in record:
            self._add_check({"section": section_of(task), "job": job.name, **record})
            return
        self.measurements.append(record)
        marked = self.marked(record)
        append_line(self.lines, {"measurement": marked})
        for line in measurement_lines(marked):
            say(line)

    def dropped(self, job: Job, task: str) -> None:
        if section_of(task) not in map(section_of, self.dropped_tasks):
            say(f"SKIPPED, as the time that is left does not do: {task}, and others of this section after it")
        self.dropped_tasks.append(task)
        append_line(self.lines, {"dropped": task})

    def crashed(self, job: Job, task: str | None, provider: str | None, crash: dict[str, str]) -> None:
        where = ", ".join(filter(None, (task, provider))) or "between tasks"
        self.crashes.append({"job": job.name, "task": task, "provider": provider, **crash})
        append_line(self.lines, {"crash": self.crashes[-1]})
        say(f"CRASH in {job.name} ({where}): {crash['sentence']}")
        check = self.tasks.get(task) if task is not None else None
        if task is not None and isinstance(check, Check):
            self._add_check({
                "section": section_of(task), "job": job.name, "check": check.name, "op": check.op, "path": check.path,
                "dtype": check.dtype, "gates": check.gates, "status": "error",
                "sentence": f"crashed: {crash['sentence']}",
            })  # fmt: skip

    def tick(self) -> None:
        """Nothing waits to be written."""

    def save(self) -> None:
        """Write `path`, whole."""
        write_record(self.path, self.to_json())

    def _no_check(self) -> list[str]:
        return [] if self.checks else ["no check ran"]

    def _add_check(self, record: dict[str, Any]) -> None:
        self.checks.append(record)
        append_line(self.lines, {"check": record})
        say(check_line(record))

    def to_json(self) -> dict[str, Any]:
        return {
            **self.facts, "gates": self.gates(), "measurements": [self.marked(record) for record in self.measurements],
            "checks": self.checks, "dropped": self.dropped_tasks, "crashes": self.crashes,
        }  # fmt: skip

    def gates(self, dtype: str = "bfloat16") -> dict[str, str]:
        """Return `gate_key` -> "green", "red" or "unchecked", for inputs of `dtype`, by the checks so far."""
        return {
            gate_key(op, path): gate(self.checks, op, path, dtype)
            for op in (CROSS_ENTROPY, STATISTICS)
            for path in PATHS
        }

    def marked(self, record: dict[str, Any]) -> dict[str, Any]:
        """Return a measurement's record with a `gate` beside every speed of ours."""
        gates, own = self.gates(), record.get("own", {})
        times = {
            label: {**row, "gate": _mark(record, row, gates.get(own[label], "green"))} if label in own else row
            for label, row in record.get("times", {}).items()
        }
        return {**record, "times": times}

    def complaints(self) -> list[str]:
        """Return what makes the run fail: wrong or crashed checks and measurements of ours, and unchecked speeds."""
        found = [f"{record['check']}: {record['sentence']}" for record in self.checks if record["status"] in WRONG]
        for record in map(self.marked, self.measurements):
            name, own = f"{record['section']} {record['name']}", record.get("own", {})
            found += [f"{name}: {record[key]}" for key in ("error", "wrong") if key in record]
            found += [
                f"{name}, {label}: {record['times'][label][key]}"
                for label in own
                for key in ("error", "wrong")
                if key in record["times"][label]
            ]
        unchecked = {
            record["own"][label]
            for record in map(self.marked, self.measurements)
            for label in record.get("own", {})
            if record["times"][label]["gate"] == "unchecked"
        }
        if self.demands_checks:
            found += [f"{key}: no check ran" for key in sorted(unchecked)] or self._no_check()
        return found + [
            f"the job {crash['job']} crashed, {crash['task'] or 'between tasks'}: {crash['sentence']}"
            for crash in self.crashes
            if not isinstance(self.tasks.get(crash["task"] or ""), Check) and crash["provider"] is None
        ]


def _mark(record: dict[str, Any], row: dict[str, Any], gate: str) -> str:
    return "red" if "wrong" in row or "wrong" in record else gate
