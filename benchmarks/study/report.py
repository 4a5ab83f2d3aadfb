"""`python -m benchmarks.study.report FOLDER`: the report of a study, whole or in part, from its lines of results."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.study.comparisons import runs_of
from benchmarks.study.domain import Domain
from benchmarks.study.domains import DOMAINS, add_domain_flag
from benchmarks.study.figures import write_figures
from benchmarks.study.methods import METHODS
from benchmarks.study.plan import Plan
from benchmarks.study.results import read_lines
from benchmarks.study.tables import differences_table, likelihood_table, methods_table, predictions_table
from lift.atomic_write import atomic_write
from lift.errors import LiftError


def write_report(folder: Path, domain: Domain, plan: Plan) -> Path:
    """Write report.md and its figures into the folder of the results; return the report's path.

    Raises:
        LiftError: the folder holds no run.
    """
    lines = read_lines(folder)
    runs = runs_of(lines)
    if not runs:
        raise LiftError(f"{folder} holds no run of a study: run python -m benchmarks.study --output {folder}.")
    figures = write_figures(runs, domain, plan, folder)
    methods = [*plan.methods, *plan.beside]
    equal_compute = [(name, sft) for name in plan.methods if (sft := METHODS[name].equal_compute)]
    parts = [
        f"# {domain.title}\n",
        f"{len(runs)} of {len([*plan.runs()])} runs. Points, of losses nats; [95 % t interval]. PROTOCOL.md beside the "
        "code says what the words mean.\n",
        "\n".join(sorted({_session_line(line["session"]) for line in lines if "session" in line})) + "\n",
        "## Predicted and found\n",
        predictions_table(runs, domain.predictions),
        *(f"![]({path.name})\n" for path in figures),
    ]
    for setting in plan.settings:
        parts += [f"## {setting}\n", "Means, and below them the differences from `sft` by start.\n"]
        parts += [
            methods_table(runs, setting, methods, domain.outcomes),
            "From SFT of equal compute by start, and of `hard` from `lift3`:\n",
            differences_table(runs, setting, [*equal_compute, ("hard", "lift3")], domain.outcomes),
            "NLL of masked tokens in nats, by mask rate:\n",
        ]
        parts.append(likelihood_table(runs, setting, methods))
    heading, table = domain.starts
    parts += [f"## {heading}\n", table([line for line in lines if "job" in line], plan)]
    path = folder / "report.md"
    with atomic_write(path) as file:
        file.write("\n".join(parts).encode())
    return path


def _session_line(session: dict[str, Any]) -> str:
    return f"- commit {session['commit']}, torch {session['torch']}, {session['processor']}"


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study.report", description=__doc__)
    parser.add_argument("folder", type=Path, help="--output of the study")
    add_domain_flag(parser)
    options = parser.parse_args(arguments)
    domain = DOMAINS[options.domain]
    print(f"wrote {write_report(options.folder, domain, domain.full)}")


if __name__ == "__main__":
    main()
