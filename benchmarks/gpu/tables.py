"""What is printed of a GPU run: how accurate each job was, and a short table of speeds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.gpu.report import Report, say
from benchmarks.ops.providers import BOUND, OWN, OWN_SMALL, is_own

_MOST_COMPLAINTS = 12


def print_accuracy(report: Report) -> None:
    """Print a line for each job of checks, then memory, then the gates."""
    for job in dict.fromkeys(record["job"] for record in report.accuracy):
        records = [record for record in report.accuracy if record["job"] == job]
        count = {
            status: sum(record["status"] == status for record in records)
            for status in ("passed", "failed", "error", "skipped")
        }
        nats = max((record.get("numbers", {}).get("nats", 0.0) for record in records), default=0.0)
        words = ", ".join(f"{number} {status}" for status, number in count.items() if number)
        say(f"  {job:<16} {words}; at most {nats:.1e} nats off")
    for record in report.accuracy:
        if "beyond_gradients_mib" in (numbers := record.get("numbers", {})):
            say(f"  {record['check']}: {numbers['beyond_gradients_mib']:.0f} MiB beyond gradients and inputs")
    say("  gates (bfloat16): " + ", ".join(f"{op} {path} {gate}" for op, path, gate in _flat(report.gates())))


def print_speeds(report: Report) -> None:
    """Print a row for each case, then what was wrong."""
    say(f"{'case':<26}{'bound ms':>9}{'ours ms':>9}{'of bound':>9}{'MiB':>7}{'32 MiB: ms':>12}  best other, ms")
    for case in report.cases:
        say(_row(case))
    complaints = report.complaints()
    for sentence in complaints[:_MOST_COMPLAINTS]:
        say(f"WRONG: {sentence[:300]}")
    if len(complaints) > _MOST_COMPLAINTS:
        say(f"... and {len(complaints) - _MOST_COMPLAINTS} more")


def _row(case: dict[str, Any]) -> str:
    rows = {row["provider"]: row for row in case["providers"]}
    own, small = rows.get(OWN, {}), rows.get(OWN_SMALL, {})
    others = [row for name, row in rows.items() if name != BOUND and not is_own(name) and "median_ms" in row]
    best = min(others, key=lambda row: row["median_ms"], default=None)
    percent = own.get("percent_of_bound")
    return (
        f"{case['case']:<26}{_number(rows.get(BOUND, {}).get('median_ms')):>9}{_number(own.get('median_ms')):>9}"
        f"{'-' if percent is None else f'{percent:.0f} %':>9}{_number(own.get('peak_mib'), 0):>7}"
        f"{_number(small.get('median_ms')):>12}  "
        + ("-" if best is None else f"{best['provider']} {_number(best['median_ms'])}")
    )


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _flat(gates: dict[str, dict[str, str]]) -> Iterable[tuple[str, str, str]]:
    return ((op, path, gate) for op, paths in gates.items() for path, gate in paths.items())
