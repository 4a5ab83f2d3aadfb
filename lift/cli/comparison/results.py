"""What the finished runs of a comparison found, and the paired differences of methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lift.cli.comparison.outcomes import Line, Outcome, Point, outcomes_of, series
from lift.cli.comparison.perform import metrics_of
from lift.cli.comparison.plan import Plan
from lift.statistics import PairedDifference, paired_difference
from lift.training import run_history


@dataclass(frozen=True)
class Finished:
    """A run."""

    name: str
    arm: str
    seed: int
    steps: int
    seconds: float
    """Of training, with the evaluations in it."""

    lines: Sequence[Line]

    def points(self, outcome: Outcome) -> list[Point]:
        """Return an outcome as training goes on; the answers after training are those of its last second."""
        return [Point(p.step, min(p.seconds, self.seconds), p.value) for p in series(self.lines, outcome)]

    def final(self, outcome: Outcome) -> float | None:
        """Return an outcome after the last step, None where it is not a finite number."""
        points = self.points(outcome)
        return points[-1].value if points and points[-1].step == self.steps else None


@dataclass(frozen=True)
class Difference:
    """A method less the first one, by seed."""

    outcome: Outcome
    arm: str
    against: str
    equal: str
    """steps or compute."""

    by_seed: Mapping[int, float]
    found: PairedDifference

    @property
    def num_better(self) -> int:
        """Seeds with which the method did better."""
        sign = 1 if self.outcome.more_is_better else -1
        return sum(sign * value > 0 for value in self.by_seed.values())


@dataclass(frozen=True)
class Results:
    """Of all finished runs."""

    outcomes: Sequence[Outcome]
    runs: Sequence[Finished]
    differences: Sequence[Difference]

    def of_arm(self, arm: str) -> list[Finished]:
        """Return the runs of an arm."""
        return [run for run in self.runs if run.arm == arm]


def read_results(plan: Plan) -> Results:
    """Return what the finished runs found; those of half-way models are not among them."""
    runs = []
    for run in plan.runs:
        metrics = metrics_of(plan, run) if run.arm else None
        if metrics is not None:
            lines = run_history.read_history(plan.run_folder(run) / run_history.FILE)
            runs.append(Finished(run.name, run.arm, run.seed, metrics["steps"], float(metrics["train_seconds"]), lines))
    outcomes = outcomes_of([run.lines for run in runs], task=plan.task, has_common_loss=plan.has_common_loss)
    return Results(outcomes, runs, _differences(plan, outcomes, runs))


def _differences(plan: Plan, outcomes: Sequence[Outcome], runs: Sequence[Finished]) -> list[Difference]:
    first, found = plan.arms[0].name, []
    added = set(plan.equal_compute.values())
    for outcome in outcomes:
        values: dict[str, dict[int, float]] = {arm.name: {} for arm in plan.arms}
        for run in runs:
            value = run.final(outcome)
            if value is not None:
                values[run.arm][run.seed] = value
        for arm in plan.arms[1:]:
            against = {"steps": first}
            if arm.name in plan.equal_compute:
                against["compute"] = plan.equal_compute[arm.name]
            for equal, other in against.items() if arm.name not in added else ():
                by_seed = {
                    seed: value - values[other][seed]
                    for seed, value in values[arm.name].items() if seed in values[other]
                }  # fmt: skip
                if by_seed:
                    paired = paired_difference([*by_seed.values()])
                    found.append(Difference(outcome, arm.name, other, equal, by_seed, paired))
    return found
