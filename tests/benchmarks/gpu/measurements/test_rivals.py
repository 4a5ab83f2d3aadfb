from __future__ import annotations

from benchmarks.gpu.measurements.measurement import Session
from benchmarks.gpu.measurements.rivals import which_can_run
from benchmarks.rivals.table import PACKAGES
from tests.benchmarks.support import SMOKE


def test_each_says_its_version_or_what_is_in_the_way():
    told = []
    found = which_can_run(Session(SMOKE, ("quack",), told.append)).numbers
    assert list(found) == list(PACKAGES) == told
    assert found["quack"] == "absent: its process ended before"
    assert found["liger, cute"].startswith("absent: ") and found["F.linear_cross_entropy"].startswith("torch 2.")
