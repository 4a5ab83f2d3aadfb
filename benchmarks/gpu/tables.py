"""What is printed at the end of a GPU run: gates, the best pieces, steps against the bound, rivals, what is wrong."""

from __future__ import annotations

from collections import Counter
from typing import Any

from benchmarks.gpu.lines import bracketed, say
from benchmarks.gpu.measurements.catalogue import AGAINST_RIVALS, PIECES, PLANNED, SECTIONS, STEPS
from benchmarks.gpu.measurements.comparison import BOUND, OWN
from benchmarks.gpu.measurements.products import WHOLE_VOCABULARY
from benchmarks.gpu.report import Report
from benchmarks.gpu.worker import section_of

_MOST_COMPLAINTS = 12


def print_summary(report: Report) -> None:
    """Print everything that a reader of the last screen needs."""
    say("gates (bfloat16): " + "; ".join(f"{key} {gate}" for key, gate in report.gates().items()))
    records = [report.marked(record) for record in report.measurements]
    _print_pieces([record for record in records if record["section"] == PIECES and record.get("times")])
    _print_steps([record for record in records if record["section"] == STEPS])
    _print_rivals([record for record in records if record["section"] == AGAINST_RIVALS and record.get("times")])
    _print_dropped(report)
    complaints = report.complaints()
    for sentence in complaints[:_MOST_COMPLAINTS]:
        say(f"WRONG: {sentence[:300]}")
    if len(complaints) > _MOST_COMPLAINTS:
        say(f"... and {len(complaints) - _MOST_COMPLAINTS} more")


def _print_pieces(records: list[dict[str, Any]]) -> None:
    """For each N the columns that are planned and those that turned out best, with all logits' milliseconds by each."""
    by_rows: dict[int, list[tuple[float, str]]] = {}
    for record in records:
        milliseconds = record["times"]["piece"][WHOLE_VOCABULARY]
        text = f"{record['shape']['columns']} columns {milliseconds:.3f} ms"
        is_planned = record["name"].endswith(PLANNED)
        by_rows.setdefault(record["shape"]["N"], []).append((milliseconds, f"planned {text}" if is_planned else text))
    for rows, found in by_rows.items():
        planned = [text for _, text in found if text.startswith("planned")]
        say(f"pieces N={rows}: " + ", ".join([*planned, f"best {min(found)[1].removeprefix('planned ')}"]))


def _print_steps(records: list[dict[str, Any]]) -> None:
    if records:
        say(f"{'whole steps':<22}{'bound ms':>10}{'ours ms':>12}{'of bound':>10}{'peak MiB':>10}")
    for record in records:
        rows = record.get("times", {})
        bound, own = rows.get(BOUND, {}), rows.get(OWN, {})
        say(
            f"{record['name']:<22}{_cell(bound.get('median_ms'), 3):>10}"
            f"{bracketed(_cell(own.get('median_ms'), 3), own.get('gate')):>12}"
            f"{_cell(own.get('% of bound'), 1):>8} %{_cell(own.get('peak MiB'), 0):>10}"
        )


def _print_rivals(records: list[dict[str, Any]]) -> None:
    for record in records:
        rows = sorted(
            (
                (row["median_ms"], label, row.get("gate"))
                for label, row in record["times"].items()
                if "median_ms" in row
            ),
            key=lambda row: row[0],
        )
        say(f"{record['name']}: " + ", ".join(f"{label} {bracketed(f'{ms:.3f}', gate)}" for ms, label, gate in rows))


def _print_dropped(report: Report) -> None:
    dropped, known = Counter(map(section_of, report.dropped_tasks)), Counter(map(section_of, report.tasks))
    if dropped:
        parts = [f"{section} {dropped[section]} of {known[section]}" for section in SECTIONS if dropped[section]]
        say(f"SKIPPED for lack of time: {', '.join(parts)}")


def _cell(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
