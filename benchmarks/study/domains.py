"""The domains by the names that `--domain` takes."""

from __future__ import annotations

from argparse import ArgumentParser

from benchmarks.study.domain import Domain
from benchmarks.study.plan import FULL, QUICK
from benchmarks.study.predictions import PREDICTIONS
from benchmarks.study.runs import make_run
from benchmarks.study.sapiens.domain import SAPIENS
from benchmarks.study.starts import make_base, make_halfway
from benchmarks.study.tables import starts_table
from benchmarks.study.tasks import TASKS

DOMAINS = {
    "tasks": Domain(
        title="Where LIFT helps: what was found",
        folder="study",
        full=FULL,
        quick=QUICK,
        makers={"base": make_base, "half-way": make_halfway, "run": make_run},
        outcomes=("answers", "answers@8", "answers@4", "responses", "nll", "kept"),
        decoding_steps=lambda setting: {"answers@4": 4, "answers@8": 8, "answers": TASKS[setting.task].response_length},
        predictions=PREDICTIONS,
        starts=("Half-way models", starts_table),
    ),
    "sapiens": SAPIENS,
}


def add_domain_flag(parser: ArgumentParser) -> None:
    """Add `--domain`, a key of `DOMAINS`."""
    parser.add_argument("--domain", choices=DOMAINS, default="tasks", help="which part of PROTOCOL.md (default: tasks)")
