from __future__ import annotations

from benchmarks.gpu.measurements.allocator import allocator_growth, row_counts
from benchmarks.gpu.measurements.measurement import Session
from benchmarks.gpu.measurements.shapes import Shape
from tests.benchmarks.support import SMOKE


def test_no_number_of_rows_comes_twice_and_they_span_the_range():
    counts = row_counts(8192, 60)
    assert len(set(counts)) == 60
    assert 409 <= min(counts) < 700 and 7900 < max(counts) <= 8192
    assert row_counts(8, 3) and min(row_counts(8, 3)) >= 1


def test_on_a_cpu_the_steps_run_and_nothing_is_claimed():
    for trained in (False, True):
        outcome = allocator_growth(Session(SMOKE), Shape(8, 16, 40), trained=trained, steps=3)
        assert "CUDA" in outcome.missing and not outcome.numbers
