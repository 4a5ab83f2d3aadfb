from __future__ import annotations

import pytest

from benchmarks.gpu.checks.check import CROSS_ENTROPY, Check
from benchmarks.gpu.measurements.measurement import Measurement
from benchmarks.gpu.report import Report


@pytest.fixture
def report(tmp_path):
    tasks = {
        "right: c": Check("c", CROSS_ENTROPY, run=None, path="minimal", dtype="bfloat16"),
        "steps: N=8 frozen": Measurement("steps", "N=8 frozen", run=None),
    }
    found = Report(tmp_path / "folder" / "2026-01-01-h100.json", {"device": "H100"}, tasks)
    found.open()
    return found
