"""`lift compare`: runs of `lift eval` on the same problems, beside the first of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from lift.cli.evaluation_record import Record, read_record
from lift.cli.parser import SentenceParser
from lift.cli.text_table import text_table
from lift.errors import LiftError
from lift.statistics import Comparison, compare_accuracies, compare_scores

logger = logging.getLogger(__name__)

_DESCRIPTION = (
    "Compare runs of lift eval with the first one on the same problems: by McNemar's exact test where a problem is "
    "right or wrong, else by the paired bootstrap."
)
_HEADER = ("task", "metric", "n", "run", "first", "this", "difference", "95 % interval", "p", "only first", "only this")


def run(arguments: Sequence[str]) -> None:
    """Print one table.

    Raises:
        LiftError: a folder holds no run, or the runs have no task in common.
    """
    parser = SentenceParser(prog="lift compare", description=_DESCRIPTION)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="output_dir of a lift eval, at least two")
    options = parser.parse_args(arguments)
    if len(options.runs) < 2:
        raise LiftError("a comparison needs at least two runs: name another output_dir of lift eval.")
    first, *others = [read_record(path) for path in options.runs]
    rows = [row for path, other in zip(options.runs[1:], others, strict=True) for row in compared(first, other, path)]
    if not rows:
        raise LiftError("these runs have no task in common: evaluate both on the same --tasks.")
    print(text_table(_HEADER, rows, text_columns=(0, 1, 3)))


def compared(first: Record, other: Record, name: str) -> list[tuple[str, ...]]:
    """Return the rows of the table on two runs, one for each metric that both have."""
    tasks = {task["task"]: task for task in first["tasks"]}
    rows = []
    for task in other["tasks"]:
        if task["task"] not in tasks:
            continue
        ours, theirs = _by_document(tasks[task["task"]]), _by_document(task)
        common = [key for key in ours if key in theirs]
        left_out = len(ours) + len(theirs) - 2 * len(common)
        if left_out:
            logger.warning("%s: %d documents are in one of the runs only, and left out", task["task"], left_out)
        for metric in (score["name"] for score in task["scores"]):
            pairs = [(_value(ours[key], metric), _value(theirs[key], metric)) for key in common]
            known = [(one, two) for one, two in pairs if one is not None and two is not None]
            if known:
                rows.append(_row(task["task"], metric, name, [one for one, _ in known], [two for _, two in known]))
    return rows


def _row(task: str, metric: str, name: str, ours: list[float], theirs: list[float]) -> tuple[str, ...]:
    is_verdict = all(value in (0, 1) for value in (*ours, *theirs))
    found: Comparison = (
        compare_accuracies([value == 1 for value in ours], [value == 1 for value in theirs])
        if is_verdict
        else compare_scores(ours, theirs)
    )
    return (
        task, metric, str(len(ours)), name, f"{sum(ours) / len(ours):.2%}", f"{sum(theirs) / len(theirs):.2%}",
        f"{found.difference:+.2%}", f"{found.interval.low:+.1%} to {found.interval.high:+.1%}", f"{found.p_value:.3g}",
        str(found.only_first), str(found.only_second),
    )  # fmt: skip


def _by_document(task: Record) -> dict[Any, Record]:
    """Return the documents by number and key: another file's rows are other problems."""
    return {(document["id"], str(document["target"])): document for document in task["documents"]}


def _value(document: Record, metric: str) -> float | None:
    """Return a document's value; of a pooled pair its own share, None where there is nothing to share."""
    value = document["metrics"].get(metric.partition(",")[0])
    if isinstance(value, list):
        return value[0] / value[1] if len(value) == 2 and value[1] else None
    return float(value) if isinstance(value, (int, float)) else None
