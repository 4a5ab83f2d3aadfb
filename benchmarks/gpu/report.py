"""The JSON record of a run, written again whenever something is new, and what is printed of it."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.gpu import checks
from benchmarks.gpu.checks import Check
from benchmarks.gpu.providers import BOUND, OURS, PROVIDERS, Ours
from benchmarks.gpu.worker import ACCURACY, Order

_SAVE_SECONDS = 1.0
_WRONG = ("failed", "error")


@dataclass
class Report:
    """A `supervisor.Book` that prints as it goes and keeps everything in `path`."""

    path: Path
    facts: dict[str, Any]
    checks_by_name: dict[str, Check]
    accuracy: list[dict[str, Any]] = field(default_factory=list)
    cases: list[dict[str, Any]] = field(default_factory=list)
    dropped_tasks: list[dict[str, str]] = field(default_factory=list)
    crashes: list[dict[str, Any]] = field(default_factory=list)
    _is_saved: bool = False
    _saved_at: float = 0.0

    def record(self, order: Order, task: str, record: dict[str, Any]) -> None:
        self._is_saved = False
        if order.section == ACCURACY:
            self.accuracy.append({"job": order.job, **record})
            if record["status"] in _WRONG:
                say(f"  {record['status'].upper()} {record['check']}: {record['sentence']}")
        else:
            self.cases.append(record)
            say(f"  {record['case']}")

    def dropped(self, order: Order, task: str) -> None:
        self._is_saved = False
        self.dropped_tasks.append({"section": order.section, "task": task})
        say(f"  dropped for lack of time: {task}")

    def crashed(self, order: Order, task: str | None, provider: str | None, crash: dict[str, str]) -> None:
        self._is_saved = False
        where = ", ".join(filter(None, (task, provider))) or "between tasks"
        self.crashes.append({"section": order.section, "job": order.job, "task": task, "provider": provider, **crash})
        say(f"  CRASH in {order.job} ({where}): {crash['sentence']}")
        if order.section == ACCURACY and task is not None:
            check = self.checks_by_name[task]
            self.accuracy.append(
                {
                    "job": order.job, "check": task, "op": check.op, "path": check.path, "dtype": check.dtype,
                    "gates": check.gates, "status": "error", "sentence": f"crashed: {crash['sentence']}",
                }
            )  # fmt: skip

    def tick(self) -> None:
        if not self._is_saved and time.monotonic() - self._saved_at >= _SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Whole at every moment: a run that is killed leaves the last state."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(_finite(self.to_json()), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        os.replace(part, self.path)
        self._is_saved, self._saved_at = True, time.monotonic()

    def to_json(self) -> dict[str, Any]:
        return {
            **self.facts, "gates": self.gates(), "accuracy": self.accuracy, "timing": self.cases,
            "dropped": self.dropped_tasks, "crashes": self.crashes,
        }  # fmt: skip

    def gates(self, dtype: str = "bfloat16") -> dict[str, dict[str, str]]:
        """op -> path -> gate, for inputs of `dtype`."""
        return {
            op: {path: checks.gate(self.accuracy, op, path, dtype) for path in checks.PATHS}
            for op in (checks.CROSS_ENTROPY, checks.STATISTICS)
        }

    def complaints(self) -> list[str]:
        """What makes the run fail: wrong or crashed checks, crashes, and errors of our own providers."""
        found = [f"{r['check']}: {r['sentence']}" for r in self.accuracy if r["status"] in _WRONG]
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
                if sentence and isinstance(PROVIDERS[row["provider"]], Ours):
                    found.append(f"{case['case']}, {row['provider']}: {sentence}")
        return found

    def print_accuracy(self) -> None:
        for job in dict.fromkeys(record["job"] for record in self.accuracy):
            records = [record for record in self.accuracy if record["job"] == job]
            count = {
                status: sum(record["status"] == status for record in records)
                for status in ("passed", "failed", "error", "skipped")
            }
            nats = max((record.get("numbers", {}).get("nats", 0.0) for record in records), default=0.0)
            words = ", ".join(f"{number} {status}" for status, number in count.items() if number)
            say(f"  {job:<16} {words}; at most {nats:.1e} nats off")
        for record in self.accuracy:
            if "beyond_gradients_mib" in (numbers := record.get("numbers", {})):
                say(f"  {record['check']}: {numbers['beyond_gradients_mib']:.0f} MiB beyond gradients and inputs")
        say("  gates (bfloat16): " + ", ".join(f"{op} {path} {gate}" for op, path, gate in _flat(self.gates())))

    def print_table(self) -> None:
        """The short table: one row per case."""
        say(f"{'case':<26}{'bound ms':>9}{'ours ms':>9}{'of bound':>9}{'MiB':>7}{'32 MiB: ms':>12}  best other, ms")
        for case in self.cases:
            say(_row(case))
        complaints = self.complaints()
        for sentence in complaints[:12]:
            say(f"WRONG: {sentence[:300]}")
        if len(complaints) > 12:
            say(f"... and {len(complaints) - 12} more")


def _row(case: dict[str, Any]) -> str:
    rows = {row["provider"]: row for row in case["providers"]}
    ours, small = rows.get(OURS, {}), rows.get("lift_kernels, 32 MiB", {})
    others = [
        row
        for name, row in rows.items()
        if name != BOUND and not isinstance(PROVIDERS[name], Ours) and "median_ms" in row
    ]
    best = min(others, key=lambda row: row["median_ms"], default=None)
    percent = ours.get("percent_of_bound")
    return (
        f"{case['case']:<26}{_number(rows.get(BOUND, {}).get('median_ms')):>9}{_number(ours.get('median_ms')):>9}"
        f"{'-' if percent is None else f'{percent:.0f} %':>9}{_number(ours.get('peak_mib'), 0):>7}"
        f"{_number(small.get('median_ms')):>12}  "
        + ("-" if best is None else f"{best['provider']} {_number(best['median_ms'])}")
    )


def _finite(value: Any) -> Any:
    """JSON has no nan and no infinity: they become words."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _flat(gates: dict[str, dict[str, str]]) -> Iterable[tuple[str, str, str]]:
    return ((op, path, gate) for op, paths in gates.items() for path, gate in paths.items())


def say(line: str) -> None:
    print(line, flush=True)
