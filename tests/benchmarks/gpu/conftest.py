from __future__ import annotations

import pytest

from benchmarks.gpu.checks.check import CROSS_ENTROPY, Check
from benchmarks.gpu.report import Report


@pytest.fixture
def report(tmp_path):
    check = Check("c", CROSS_ENTROPY, run=None, path="minimal", dtype="bfloat16")
    return Report(tmp_path / "folder" / "2026-01-01-h100.json", {"device": "H100"}, {"c": check})
