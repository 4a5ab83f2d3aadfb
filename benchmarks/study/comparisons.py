"""What is compared: outcomes of runs, paired by start and seed, and the words for a difference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.study.plan import Job
from benchmarks.study.statistics import Difference, paired_difference

Runs = Mapping[Job, Mapping[str, Any]]
"""What was found in each run."""


@dataclass(frozen=True)
class Outcome:
    """How runs are measured."""

    name: str
    scale: float = 100.0
    """From the records' unit to the report's: points, or nats."""

    margin: float = 3.0
    """Mean differences below it are called alike, in the report's unit."""

    digits: int = 1
    more_is_better: bool = True


OUTCOMES = {
    "answers": Outcome("answers, one token a step"),
    "answers@8": Outcome("answers, 8 steps"),
    "answers@4": Outcome("answers, 4 steps"),
    "responses": Outcome("whole responses"),
    "nll": Outcome("NLL", scale=1.0, margin=0.003, digits=4, more_is_better=False),
    "kept": Outcome("kept"),
    "residues": Outcome("residues, one a step", margin=1.0),
    "residues@16": Outcome("residues, 16 steps", margin=1.0),
    "residues@4": Outcome("residues, 4 steps", margin=1.0),
    "loops": Outcome("loop residues, one a step", margin=1.0),
    "nearest": Outcome("residues of the nearest gene, one a step", margin=1.0),
    "nearest@4": Outcome("residues of the nearest gene, 4 steps", margin=1.0),
    "kept residues": Outcome("kept, human residues", margin=1.0),
    "kept NLL": Outcome("kept, human NLL", scale=1.0, margin=0.003, digits=4, more_is_better=False),
}
"""Of all domains."""


@dataclass(frozen=True)
class Comparison:
    """A method against another in one setting by one outcome."""

    setting: str
    outcome: str
    method: str
    against: str


@dataclass(frozen=True)
class Found:
    """What a comparison found, in the report's unit."""

    by_run: Difference
    by_start: Difference
    """Of the means of each half-way model's runs; where all runs start at the base model, the same as by_run."""

    differences: Sequence[float]
    """(runs,)"""

    verdict: str
    """better, worse, alike or open: of the half-way models, which decide."""

    verdict_by_run: str


def runs_of(lines: Iterable[Mapping[str, Any]]) -> dict[Job, Mapping[str, Any]]:
    """Return what the runs among the lines of results found."""
    return {Job.of_line(line): line["found"] for line in lines if "job" in line and line["job"]["kind"] == "run"}


def values_of(runs: Runs, setting: str, method: str, outcome: str) -> dict[tuple[int, int], float]:
    """Return a method's outcomes in the report's unit, by start and seed."""
    scale = OUTCOMES[outcome].scale
    return {
        (job.start, job.seed): scale * found[outcome]
        for job, found in sorted(runs.items(), key=lambda item: (item[0].start, item[0].seed))
        if (job.setting, job.method) == (setting, method)
    }


def compare(runs: Runs, comparison: Comparison) -> Found | None:
    """Return what a comparison found in the runs that both methods have, None without two of them."""
    ours, theirs = (
        values_of(runs, comparison.setting, method, comparison.outcome)
        for method in (comparison.method, comparison.against)
    )
    differences = {place: ours[place] - theirs[place] for place in ours if place in theirs}
    if len(differences) < 2:
        return None
    by_start: dict[int, list[float]] = {}
    for (start, _), difference in differences.items():
        by_start.setdefault(start, []).append(difference)
    by_run = paired_difference([*differences.values()])
    means = [sum(values) / len(values) for values in by_start.values()]
    of_starts = by_run if len(means) == 1 else paired_difference(means)
    outcome = OUTCOMES[comparison.outcome]
    return Found(by_run, of_starts, [*differences.values()], verdict(of_starts, outcome), verdict(by_run, outcome))


def verdict(difference: Difference, outcome: Outcome) -> str:
    """Return better or worse where the interval excludes 0, else alike or open: see PROTOCOL.md."""
    if difference.low > 0 or difference.high < 0:
        return "better" if (difference.mean > 0) == outcome.more_is_better else "worse"
    return "alike" if abs(difference.mean) < outcome.margin else "open"
