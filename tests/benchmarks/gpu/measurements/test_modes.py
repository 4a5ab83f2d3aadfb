from __future__ import annotations

from benchmarks.gpu.measurements.comparison import BOUND
from benchmarks.gpu.measurements.measurement import Session
from benchmarks.gpu.measurements.modes import modes
from benchmarks.gpu.measurements.shapes import Shape
from tests.benchmarks.support import SMOKE


def test_every_mode_is_timed_and_gated_by_its_own_op():
    outcome = modes(Session(SMOKE), Shape(8, 16, 40))
    assert all("median_ms" in row for row in outcome.times.values())
    assert outcome.own.keys() == outcome.times.keys() - {BOUND}
    assert outcome.own["token statistics"] == "linear_token_stats, default"
    assert outcome.own["loss, 32 MiB"] == "linear_cross_entropy, minimal"
    # The bound is that of a loss and its gradient.
    assert "% of bound" in outcome.times["LIFT in one pass"] and "% of bound" not in outcome.times["token statistics"]
