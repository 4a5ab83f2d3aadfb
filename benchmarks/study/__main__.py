"""`python -m benchmarks.study`: run what PROTOCOL.md says, or go on with it, and write the report.

Every job, a base model, a half-way model or a run, is a line of OUTPUT/runs.jsonl. A study that was stopped goes on
where it was when the same command is given again.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.harness.json_record import RESULTS, append_line
from benchmarks.study.domains import DOMAINS, add_domain_flag
from benchmarks.study.plan import Job, Plan
from benchmarks.study.report import write_report
from benchmarks.study.results import Line, open_session, results_path
from benchmarks.study.starts import start_path
from benchmarks.study.workers import performed, worker_pool
from lift.errors import LiftError


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    options = _parser().parse_args(arguments)
    domain = DOMAINS[options.domain]
    domain.check()
    plan = domain.plan(quick=options.quick)
    folder: Path = options.output or RESULTS / (domain.folder + ("-quick" if options.quick else ""))
    logging.basicConfig(format="%(message)s")
    command = " ".join(["python -m benchmarks.study", *(sys.argv[1:] if arguments is None else arguments)])
    done = open_session(folder, plan, command)
    with worker_pool(options.workers) as pool:
        for jobs in ([Job("base")], [*plan.starts()], [*plan.runs()]):  # each stage needs the one before
            waiting = [job for job in jobs if not _is_done(job, done, folder, plan)]
            began = time.monotonic()
            for number, line in enumerate(performed(pool, waiting, folder, plan, domain.makers), start=1):
                _keep(line, done, folder)
                left = (time.monotonic() - began) / number * (len(waiting) - number)
                print(f"[{number}/{len(waiting)}, {left / 60:.0f} min left] {_shown(line)}", flush=True)
    print(f"wrote {write_report(folder, domain, plan)}")


def _is_done(job: Job, done: Mapping[Job, Line], folder: Path, plan: Plan) -> bool:
    """A model whose line is there but whose weights are not, as in a fresh checkout, is made anew."""
    return job in done and (job.kind == "run" or start_path(folder, job, plan).exists())


def _keep(line: Line, done: Mapping[Job, Line], folder: Path) -> None:
    """Append a line, or compare it with the one that is there.

    Raises:
        LiftError: a model that was made anew is not the same.
    """
    job = Job.of_line(line)
    if job not in done:
        append_line(results_path(folder), line)
    elif line["found"] != done[job]["found"]:
        raise LiftError(f"this machine makes another {job} than {results_path(folder)} has: choose another --output.")


def _shown(line: Line) -> str:
    job, found = line["job"], line["found"]
    words = [job["kind"], job["setting"], f"start {job['start']}, seed {job['seed']}", job["method"]]
    for primary in {domain.outcomes[0] for domain in DOMAINS.values()} & found.keys():
        words.append(f"{found[primary]:.1%} {primary}")
    return ", ".join(word for word in words if word) + f", {line['seconds']['all']:.0f} s"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.study", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_domain_flag(parser)
    parser.add_argument(
        "--quick", action="store_true", help="one setting, two methods, tiny sizes: does everything run?"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes, of one thread each (default: 2)")
    parser.add_argument("--output", type=Path, help="folder of the results (default: in benchmarks/results)")
    return parser


if __name__ == "__main__":
    try:
        main()
    except LiftError as error:
        sys.exit(f"error: {error}")
