"""Accuracy on a GPU, then speed, then a short table; everything also as JSON.

Needs a CUDA device, torch and triton, and installs nothing. Exit status: 0, or 1 if something of ours is wrong, or 2 if
it could not begin. The JSON file goes to $OUT, by default to benchmarks/results, and is rewritten as results come in.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from benchmarks.gpu import checks, supervisor
from benchmarks.gpu.environment import card_state, environment
from benchmarks.gpu.providers import PROVIDERS, Ours
from benchmarks.gpu.report import Report, say
from benchmarks.gpu.setting import Setting
from benchmarks.gpu.worker import ACCURACY, TIMING, Order, task_names

_RESULTS = Path(__file__).resolve().parents[1] / "results"
_ACCURACY_SHARE = 0.55
_TASK_SECONDS = 150.0  # with compilation; longer is taken for hung
# Kept back for a task that began just before the deadline, and for the table.
_GRACE_SECONDS = 20.0


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    start = time.time()
    setting = Setting.here(is_smoke=options.smoke, backend=options.backend)
    if not setting.on_gpu and not setting.is_smoke:
        print("benchmarks.gpu: no CUDA device was found; --smoke runs tiny shapes anywhere", file=sys.stderr)
        return 2
    facts = {
        "command": " ".join(["python -m benchmarks.gpu", *(sys.argv[1:] if arguments is None else arguments)]),
        **environment(setting, options.commit), "budget_seconds": options.budget,
        "workspace": {name: p.workspace_bytes or "default" for name, p in PROVIDERS.items() if isinstance(p, Ours)},
    }  # fmt: skip
    by_name = {check.name: check for found in checks.jobs(setting).values() for check in found}
    report = Report(_path(options.output, setting, facts["device"]), facts, by_name)
    say(f"{facts['device']}, driver {facts['driver']}, torch {facts['torch']}, triton {facts['triton']}")
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        _run(setting, options, report, start)
    except KeyboardInterrupt:
        facts["broke_off"] = {"sentence": "interrupted"}
    except Exception as error:  # of the runner itself: what was measured so far is not lost with it
        facts["broke_off"] = checks.describe(error)
    finally:
        signal.signal(signal.SIGTERM, before)
    facts["seconds"] = round(time.time() - start, 1)
    report.save()
    say("")
    report.print_table()
    if "broke_off" in facts:
        say(f"BROKE OFF: {facts['broke_off']['sentence']}")
    say(f"{facts['seconds']:.0f} s; written to {report.path}")
    return 1 if report.complaints() or "broke_off" in facts else 0


def _run(setting: Setting, options: argparse.Namespace, report: Report, start: float) -> None:
    names = task_names(setting)
    end = start + options.budget - _GRACE_SECONDS
    for section, deadline in ((ACCURACY, start + options.budget * _ACCURACY_SHARE), (TIMING, end)):
        if options.section not in (None, section):
            continue
        say(f"{section}:")
        began = time.time()
        report.facts[f"card_before_{section}"] = card_state()
        orders = [
            Order(section, job, tasks, deadline, setting.backend, setting.is_smoke, report.gates())
            for job, tasks in names[section].items()
        ]
        if setting.is_smoke:
            supervisor.run_here(orders, report)
        else:
            supervisor.run_in_processes(
                orders, report, stop_at=min(deadline, end) + _GRACE_SECONDS / 2, task_seconds=_TASK_SECONDS,
                num_workers=options.workers if section == ACCURACY else 1,
            )  # fmt: skip
        report.facts[f"card_after_{section}"] = card_state()
        report.facts[f"seconds_of_{section}"] = round(time.time() - began, 1)
        report.save()
        if section == ACCURACY:
            report.print_accuracy()


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
        "--output", type=Path, default=Path(os.environ.get("OUT") or _RESULTS), help="folder of the JSON file"
    )
    return parser


def _path(folder: Path, setting: Setting, device: str) -> Path:
    card = re.sub(r"[^a-z0-9]+", "-", device.lower().removeprefix("nvidia ")).strip("-")
    kind = "smoke" if setting.is_smoke else "linear-cross-entropy"
    return folder / f"{datetime.date.today():%Y-%m-%d}-{card}-{kind}.json"


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
