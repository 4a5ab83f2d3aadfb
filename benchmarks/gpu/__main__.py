"""The first minutes on a GPU: right or wrong, then the numbers that settle how the kernels are cut, then the rest.

Needs a CUDA device, torch and triton; installs nothing, and needs no make, git or network. Every number is a line on
the screen and a line of JSON on disk before the next one begins; a JSON file holds all of them at the end. A speed of
an op that is wrong or unchecked stands in brackets, and is marked in the files. What does not fit the budget is skipped
and named. Exit status: 0, or 1 if something of ours is wrong, or 2 if it could not begin.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from benchmarks.gpu.lines import say
from benchmarks.gpu.measurements.catalogue import RIGHT, SECTIONS
from benchmarks.gpu.report import Report
from benchmarks.gpu.tables import print_summary
from benchmarks.gpu.worker import MATRIX, SIDE_BY_SIDE, run_job, task_names, tasks
from benchmarks.harness import supervisor
from benchmarks.harness.environment import card_state, device_environment
from benchmarks.harness.error_record import describe_error
from benchmarks.harness.job import Job
from benchmarks.harness.json_record import RESULTS, dated_path, unused
from benchmarks.harness.run_config import RunConfig

_MATRIX_SHARE = 0.6  # of the time that is left when it begins
_TASK_SECONDS = 120.0  # with compilation; longer is taken for hung
# Kept back for a task that began just before the deadline, and for the table.
_GRACE_SECONDS = 15.0


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = _parser().parse_args(arguments)
    start = time.time()
    config = RunConfig.here(is_smoke=options.smoke, backend=options.backend)
    if not config.on_gpu and not config.is_smoke:
        print("benchmarks.gpu: no CUDA device was found; --smoke runs tiny shapes anywhere", file=sys.stderr)
        return 2
    sections = options.section or list(SECTIONS)
    facts = {
        "command": " ".join(["python3 -u -m benchmarks.gpu", *(sys.argv[1:] if arguments is None else arguments)]),
        **device_environment(config, options.commit), "budget_seconds": options.budget, "sections": sections,
    }  # fmt: skip
    report = Report(_path(options.output, config, facts["device"]), facts, tasks(config), RIGHT in sections)
    try:
        report.open()
    except OSError as error:
        print(f"benchmarks.gpu: {error}", file=sys.stderr)
        return 2
    say(f"{facts['device']}, driver {facts['driver']}, torch {facts['torch']}, triton {facts['triton']}")
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        _run(config, options, sections, report, start)
    except KeyboardInterrupt:
        facts["broke_off"] = {"sentence": "interrupted"}
    except Exception as error:  # of the runner itself: what was measured so far is not lost with it
        facts["broke_off"] = describe_error(error)
    finally:
        signal.signal(signal.SIGTERM, before)
    facts["seconds"] = round(time.time() - start, 1)
    report.save()
    say("")
    print_summary(report)
    if "broke_off" in facts:
        say(f"BROKE OFF: {facts['broke_off']['sentence']}")
    say(f"{facts['seconds']:.0f} s; written to {report.path} and, as it came, {report.lines.name}")
    return 1 if report.complaints() or "broke_off" in facts else 0


def _run(config: RunConfig, options: argparse.Namespace, sections: list[str], report: Report, start: float) -> None:
    end = start + options.budget - _GRACE_SECONDS
    stages = task_names(config, sections)
    for stage, stage_jobs in stages.items():
        began = time.time()
        deadline = end
        if stage == MATRIX and stage != list(stages)[-1]:
            deadline = began + _MATRIX_SHARE * max(0.0, end - began)
        report.facts[f"card before {stage}"] = card_state()
        jobs = [Job(stage, job, names, deadline, config.backend, config.is_smoke) for job, names in stage_jobs.items()]
        if config.is_smoke:
            supervisor.run_here(jobs, report, run_job)
        else:
            supervisor.run_in_processes(
                jobs, report, supervisor.worker_command("benchmarks.gpu.worker"),
                stop_at=deadline + _GRACE_SECONDS / 2, task_seconds=_TASK_SECONDS,
                num_workers=options.workers if stage in SIDE_BY_SIDE else 1,
            )  # fmt: skip
        report.facts[f"card after {stage}"] = card_state()
        report.facts[f"seconds of {stage}"] = round(time.time() - began, 1)
        say(f"{time.time() - start:.0f} s: end of {stage}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budget", type=float, default=480.0, help="seconds for everything (default: 480)")
    parser.add_argument(
        "--smoke", "--tiny", dest="smoke", action="store_true", help="tiny shapes, any device, in this process"
    )
    parser.add_argument("--backend", choices=("triton", "torch"), help="default: triton where it can run")
    parser.add_argument(
        "--section", action="append", choices=SECTIONS,
        help="may be repeated; in this order: " + ", ".join(SECTIONS), metavar="NAME",
    )  # fmt: skip
    parser.add_argument(
        "--workers", type=int, default=min(8, os.cpu_count() or 1),
        help="processes that check at the same time (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--commit", help="what to note as the commit where there is no git repository")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(os.environ.get("OUT") or RESULTS),
        help="folder of the files (default: $OUT, or benchmarks/results)",
    )
    return parser


def _path(folder: Path, config: RunConfig, device: str) -> Path:
    card = re.sub(r"[^a-z0-9]+", "-", device.lower().removeprefix("nvidia ")).strip("-")
    kind = "smoke" if config.is_smoke else "linear-cross-entropy"
    return unused(dated_path(folder, f"{card}-{kind}"))


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
