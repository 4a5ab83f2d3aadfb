"""The report of a comparison: two tables, a few sentences, and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lift.atomic_write import atomic_write
from lift.cli.comparison.outcomes import Outcome
from lift.cli.comparison.plan import Plan
from lift.cli.comparison.results import Difference, Results
from lift.cli.text_table import text_table
from lift.statistics import paired_difference
from lift_kernels import __version__

FILE = "comparison.json"


def report_text(plan: Plan, results: Results) -> str:
    """Return the tables of methods and of differences, and how to read them."""
    header = ("method", "steps", "runs", "seconds", *(outcome.label for outcome in results.outcomes))
    rows = []
    for arm in plan.arms:
        runs = results.of_arm(arm.name)
        if runs:
            steps = ", ".join(map(str, sorted({run.steps for run in runs})))
            seconds = sum(run.seconds for run in runs) / len(runs)
            finals = [_mean([run.final(outcome) for run in runs], outcome) for outcome in results.outcomes]
            rows.append((arm.name, steps, str(len(runs)), f"{seconds:.0f}", *finals))
    parts = [text_table(header, rows, text_columns=(0,))]
    if results.differences:
        columns = ("outcome", "method", "less", "at equal", "difference", "95 % interval", "p", "better")
        parts.append(text_table(columns, [_row(one) for one in results.differences], text_columns=(0, 1, 2, 3)))
    return "\n\n".join([*parts, _how_to_read(plan, results)])


def _how_to_read(plan: Plan, results: Results) -> str:
    lines = [
        f"Judged by {results.outcomes[0].label}.",
        "Means over seeds, [95 % interval]; differences are paired by seed. Student's t, not corrected for the number",
        "of comparisons. Seconds are those of training, its evaluations included.",
    ]
    lines += [
        f"{longer} takes {plan.costs[name] / plan.costs[plan.arms[0].name]:.2f} times the steps: what {name} costs, if "
        f"a forward that scores is 1/{1 / plan.forward_share:.0f} of a step."
        for name, longer in plan.equal_compute.items()
    ]
    return "\n".join(lines)


def _mean(values: Sequence[float | None], outcome: Outcome) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    found = paired_difference(known)
    text = f"{found.mean:.{outcome.digits}f}"
    if found.interval is not None:
        text += f" [{found.interval.low:.{outcome.digits}f}, {found.interval.high:.{outcome.digits}f}]"
    return text


def _row(one: Difference) -> tuple[str, ...]:
    found, digits = one.found, one.outcome.digits
    interval = "-" if found.interval is None else "{:+.{d}f} to {:+.{d}f}".format(*found.interval, d=digits)
    return (
        one.outcome.name, one.arm, one.against, one.equal, f"{found.mean:+.{digits}f}", interval,
        "-" if found.p_value is None else f"{found.p_value:.2g}", f"{one.num_better} of {len(one.by_seed)}",
    )  # fmt: skip


def write_report(plan: Plan, results: Results, command: str, failed: Mapping[str, str]) -> Path:
    """Write comparison.json into the comparison's folder, and return its path."""
    record = {
        "format": 1,
        "command": command,
        "lift_kernels": __version__,
        "environment": _environment(plan),
        "arms": [
            {"name": arm.name, "method": arm.method, "flags": list(arm.flags), "step_factor": arm.factor,
             "step_cost": plan.costs[arm.name], "equal_compute": plan.equal_compute.get(arm.name)}
            for arm in plan.arms
        ],
        "forward_share": plan.forward_share,
        "seeds": list(plan.seeds),
        "outcomes": [
            {"name": one.name, "label": one.label, "more_is_better": one.more_is_better} for one in results.outcomes
        ],
        "runs": [
            {"name": run.name, "arm": run.arm, "seed": run.seed, "steps": run.steps, "seconds": run.seconds,
             "outcomes": {outcome.name: run.final(outcome) for outcome in results.outcomes}}
            for run in results.runs
        ],
        "differences": [_as_json(one) for one in results.differences],
        "failed": dict(failed),
    }  # fmt: skip
    path = plan.folder / FILE
    with atomic_write(path) as file:
        file.write(json.dumps(record, indent=2, allow_nan=False).encode() + b"\n")
    return path


def _as_json(one: Difference) -> dict[str, Any]:
    return {
        "outcome": one.outcome.name, "arm": one.arm, "against": one.against, "equal": one.equal,
        "by_seed": {str(seed): value for seed, value in one.by_seed.items()}, "mean": one.found.mean,
        "interval": one.found.interval, "p_value": one.found.p_value, "better": one.num_better,
    }  # fmt: skip


def _environment(plan: Plan) -> Any:
    """Return what the first run ran on: versions, machine and state of the code."""
    for run in plan.runs:
        try:
            record = json.loads((plan.run_folder(run) / "environment.json").read_text("utf-8"))
            return {name: record["starts"][-1].get(name) for name in ("python", "versions", "git", "machine")}
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            continue
    return None
