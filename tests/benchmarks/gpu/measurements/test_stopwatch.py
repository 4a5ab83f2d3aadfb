from __future__ import annotations

import time

import pytest

from benchmarks.gpu.measurements.stopwatch import median, percent, rounds, time_steps
from tests.benchmarks.support import HERE, SMOKE


def test_a_step_that_repeats_is_reported_for_one():
    calls = []
    times = time_steps(
        SMOKE, {"a": lambda: time.sleep(0.02)}, seconds=1, repeats=4, clear=lambda: calls.append("clear")
    )
    assert median(times, "a") == pytest.approx(5, rel=0.5) and times["a"]["rounds"] == 2
    assert len(calls) >= 4


def test_what_a_step_raises_passes():
    def step():
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        time_steps(SMOKE, {"a": step}, seconds=1)


def test_rounds_fill_the_time_but_in_a_smoke_test():
    assert rounds(HERE, 0.5)(20) == 25 and rounds(SMOKE, 0.5)(20) == 2
    assert percent(1, 4) == 25 and percent(1, 0) != percent(1, 0)
