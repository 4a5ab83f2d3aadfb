"""Two runs of `lift eval`, paired problem by problem."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

from lift.cli.evaluation_record import Record
from lift.statistics import Comparison, compare_accuracies, compare_scores

logger = logging.getLogger(__name__)


class Pair(NamedTuple):
    """A metric of one task in two runs, on the problems that both have."""

    task: str
    metric: str
    run: str
    """Name of the second run."""

    first: Sequence[float]
    second: Sequence[float]
    """(problems,) one value a problem each, in the same order."""

    found: Comparison

    @property
    def are_shares(self) -> bool:
        """Whether every value lies in [0, 1]; perplexities do not."""
        return all(0 <= value <= 1 for value in (*self.first, *self.second))


def compared(first: Record, other: Record, name: str) -> list[Pair]:
    """Return what two runs differ in, by each metric that both have; `name` is that of the other."""
    tasks = {task["task"]: task for task in first["tasks"]}
    found = []
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
                found.append(_pair(task["task"], metric, name, [one for one, _ in known], [two for _, two in known]))
    return found


def _pair(task: str, metric: str, name: str, ours: list[float], theirs: list[float]) -> Pair:
    are_verdicts = all(value in (0, 1) for value in (*ours, *theirs))
    found = (
        compare_accuracies([value == 1 for value in ours], [value == 1 for value in theirs])
        if are_verdicts
        else compare_scores(ours, theirs)
    )
    return Pair(task, metric, name, ours, theirs, found)


def _by_document(task: Record) -> dict[Any, Record]:
    """Return the documents by number and key: another file's rows are other problems."""
    return {(document["id"], str(document["target"])): document for document in task["documents"]}


def _value(document: Record, metric: str) -> float | None:
    """Return a document's value; of a pooled pair its own share, None where there is nothing to share."""
    value = document["metrics"].get(metric.partition(",")[0])
    if isinstance(value, list):
        return value[0] / value[1] if len(value) == 2 and value[1] else None
    return float(value) if isinstance(value, (int, float)) else None
