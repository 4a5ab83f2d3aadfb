"""Accuracy on a GPU, then speed, then a short table; everything also as JSON.

Needs a CUDA device, torch and triton, and installs nothing. Exit status: 0, or 1 if something of ours is wrong, or 2 if
it could not begin. The JSON file goes to $OUT, by default to benchmarks/results, and is rewritten as results come in.
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

from benchmarks.gpu.checks.matrix import jobs
from benchmarks.gpu.report import Report, say
from benchmarks.gpu.tables import print_accuracy, print_speeds
from benchmarks.gpu.worker import ACCURACY, TIMING, run_job, task_names
from benchmarks.harness import supervisor
from benchmarks.harness.environment import card_state, device_environment
from benchmarks.harness.error_record import describe_error
from benchmarks.harness.job import Job
from benchmarks.harness.json_record import RESULTS, dated_path
from benchmarks.harness.run_config import RunConfig
from benchmarks.ops.own_providers import LiftKernels
from benchmarks.ops.providers import PROVIDERS

_ACCURACY_SHARE = 0.55
_TASK_SECONDS = 150.0  # with compilation; longer is taken for hung
# Kept back for a task that began just before the deadline, and for the table.
_GRACE_SECONDS = 20.0


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = _parser().parse_args(arguments)
    start = time.time()
    config = RunConfig.here(is_smoke=options.smoke, backend=options.backend)
    if not config.on_gpu and not config.is_smoke:
        print("benchmarks.gpu: no CUDA device was found; --smoke runs tiny shapes anywhere", file=sys.stderr)
        return 2
    facts = {
        "command": " ".join(["python -m benchmarks.gpu", *(sys.argv[1:] if arguments is None else arguments)]),
        **device_environment(config, options.commit), "budget_seconds": options.budget,
        "workspace": {
            name: provider.workspace_bytes or "default"
            for name, provider in PROVIDERS.items() if isinstance(provider, LiftKernels)
        },
    }  # fmt: skip
    by_name = {check.name: check for found in jobs(config).values() for check in found}
    report = Report(_path(options.output, config, facts["device"]), facts, by_name)
    say(f"{facts['device']}, driver {facts['driver']}, torch {facts['torch']}, triton {facts['triton']}")
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        _run(config, options, report, start)
    except KeyboardInterrupt:
        facts["broke_off"] = {"sentence": "interrupted"}
    except Exception as error:  # of the runner itself: what was measured so far is not lost with it
        facts["broke_off"] = describe_error(error)
    finally:
        signal.signal(signal.SIGTERM, before)
    facts["seconds"] = round(time.time() - start, 1)
    report.save()
    say("")
    print_speeds(report)
    if "broke_off" in facts:
        say(f"BROKE OFF: {facts['broke_off']['sentence']}")
    say(f"{facts['seconds']:.0f} s; written to {report.path}")
    return 1 if report.complaints() or "broke_off" in facts else 0


def _run(config: RunConfig, options: argparse.Namespace, report: Report, start: float) -> None:
    names = task_names(config)
    end = start + options.budget - _GRACE_SECONDS
    for section, deadline in ((ACCURACY, start + options.budget * _ACCURACY_SHARE), (TIMING, end)):
        if options.section not in (None, section):
            continue
        say(f"{section}:")
        began = time.time()
        report.facts[f"card_before_{section}"] = card_state()
        section_jobs = [
            Job(section, job, tasks, deadline, config.backend, config.is_smoke, report.gates())
            for job, tasks in names[section].items()
        ]
        if config.is_smoke:
            supervisor.run_here(section_jobs, report, run_job)
        else:
            supervisor.run_in_processes(
                section_jobs, report, supervisor.worker_command("benchmarks.gpu.worker"),
                stop_at=min(deadline, end) + _GRACE_SECONDS / 2, task_seconds=_TASK_SECONDS,
                num_workers=options.workers if section == ACCURACY else 1,
            )  # fmt: skip
        report.facts[f"card_after_{section}"] = card_state()
        report.facts[f"seconds_of_{section}"] = round(time.time() - began, 1)
        report.save()
        if section == ACCURACY:
            print_accuracy(report)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budget", type=float, default=480.0, help="seconds for everything (default: 480)")
    parser.add_argument("--smoke", action="store_true", help="tiny shapes, any device, in this process")
    parser.add_argument("--backend", choices=("triton", "torch"), help="default: triton where it can run")
    parser.add_argument(
        "--section", choices=(ACCURACY, TIMING), help="one only; no speed of ours is reported without accuracy"
    )
    parser.add_argument(
        "--workers", type=int, default=min(8, os.cpu_count() or 1), help="processes that check at the same time"
    )
    parser.add_argument("--commit", help="what to note as the commit where there is no git repository")
    parser.add_argument(
        "--output", type=Path, default=Path(os.environ.get("OUT") or RESULTS), help="folder of the JSON file"
    )
    return parser


def _path(folder: Path, config: RunConfig, device: str) -> Path:
    card = re.sub(r"[^a-z0-9]+", "-", device.lower().removeprefix("nvidia ")).strip("-")
    kind = "smoke" if config.is_smoke else "linear-cross-entropy"
    return dated_path(folder, f"{card}-{kind}")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
