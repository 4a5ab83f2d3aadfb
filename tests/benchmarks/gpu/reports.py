"""Records as workers send them, and what a report made of them."""

from __future__ import annotations

import json

from benchmarks.gpu.checks.check import CROSS_ENTROPY, PATHS, STATISTICS
from benchmarks.harness.job import Job

ACCURACY = Job("accuracy", "values", ("c",), 0.0, "torch")
TIMING = Job("timing", "timing", ("case",), 0.0, "torch")


def checked(status="passed", op=CROSS_ENTROPY, path="default", **more):
    return {"check": "c", "op": op, "path": path, "dtype": None, "gates": True, "status": status, **more}


def all_green(report):
    for op in (CROSS_ENTROPY, STATISTICS):
        for path in PATHS:
            report.record(ACCURACY, "c", checked(op=op, path=path))


def case(*rows, name="llada-8b-4096-frozen"):
    return {"case": name, "providers": list(rows)}


def saved(report):
    return json.loads(report.path.read_text())
