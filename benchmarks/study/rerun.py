"""`python -m benchmarks.study.rerun FOLDER`: some runs of a study again, compared with their lines to the bit."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.study.comparisons import runs_of
from benchmarks.study.domains import DOMAINS, add_domain_flag
from benchmarks.study.perform import Makers, perform
from benchmarks.study.plan import Plan
from benchmarks.study.results import read_lines
from lift.errors import LiftError


def main(arguments: list[str] | None = None) -> None:
    """Run the command.

    Raises:
        LiftError: a run finds something else, or the folder has too few.
    """
    options = _parser().parse_args(arguments)
    domain = DOMAINS[options.domain]
    rerun(options.folder, domain.plan(quick=options.quick), domain.makers, options.number)
    print(f"{options.number} runs again: all they found, and their weights, are equal to the bit")


def rerun(folder: Path, plan: Plan, makers: Makers, number: int) -> None:
    """Run the first `number` runs of the results again.

    Raises:
        LiftError: one finds something else, or there are fewer.
    """
    runs = runs_of(read_lines(folder))
    if len(runs) < number:
        raise LiftError(f"{folder} has {len(runs)} runs, and {number} are to be run again: finish the study first.")
    for job, found in [*runs.items()][:number]:
        if perform(job, folder, plan, makers)["found"] != found:
            raise LiftError(f"{job} found something else than its line in {folder} has.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study.rerun", description=__doc__)
    parser.add_argument("folder", type=Path, help="--output of the study, with its models")
    parser.add_argument("--number", type=int, default=2, help="how many runs (default: 2)")
    add_domain_flag(parser)
    parser.add_argument("--quick", action="store_true", help="the study was a quick one")
    return parser


if __name__ == "__main__":
    main()
