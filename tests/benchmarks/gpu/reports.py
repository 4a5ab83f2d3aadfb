"""Records as workers send them, and what a report made of them."""

from __future__ import annotations

import json

from benchmarks.gpu.checks.check import CROSS_ENTROPY, PATHS, STATISTICS
from benchmarks.harness.job import Job

CHECKS = Job("right or wrong", "right, default", ("right: c",), 0.0, "torch")
NUMBERS = Job("first numbers", "first numbers", ("steps: N=8 frozen",), 0.0, "torch")
GATE = f"{CROSS_ENTROPY}, default"


def checked(status="passed", op=CROSS_ENTROPY, path="default", **more):
    return {"check": "c", "op": op, "path": path, "dtype": None, "gates": True, "status": status, **more}


def all_green(report):
    for op in (CROSS_ENTROPY, STATISTICS):
        for path in PATHS:
            report.record(CHECKS, "right: c", checked(op=op, path=path))


def row(milliseconds, **more):
    return {"median_ms": milliseconds, "p20_ms": milliseconds, "p80_ms": milliseconds, "rounds": 5, **more}


def measured(times, own=None, section="steps", name="N=8 frozen", **more):
    return {"section": section, "name": name, "times": times, "own": own or {}, "numbers": {}, **more}


def lines_of(report):
    return [json.loads(line) for line in report.lines.read_text().splitlines()]
