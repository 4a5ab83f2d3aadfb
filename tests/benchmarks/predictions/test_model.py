from __future__ import annotations

import pytest

from benchmarks.predictions.model import H100, H200, Step, bound, moved, parts, product, row_kernel, seconds
from lift_kernels.kernels import plan as planning


def test_a_product_of_full_waves_runs_at_the_full_rate():
    """12 x 11 tiles of 128 x 256 are one wave; a thirteenth row of them is a second."""
    full = product(12 * 128, 11 * 256, 4096, H100)
    assert full == pytest.approx(2 * 12 * 128 * 11 * 256 * 4096 / H100.flops + 4e-6)
    only = product(13 * 128, 11 * 256, 4096, H100)
    assert 1.1 * full < only <= 2 * full


def test_kernels_take_their_traffic_or_their_latency():
    assert moved(3e9, H100) == pytest.approx(1e-3, rel=0.01) and moved(3e9, H200) < moved(3e9, H100)
    few, many = row_kernel(4, 2048, H100), row_kernel(4096, 2048, H100)
    assert few == pytest.approx(2200 / 1.7e9 + 3e-6) and many == pytest.approx(4096 * 2048 * 4 / 3e12 + 3e-6, rel=0.3)


@pytest.mark.parametrize("is_trained", [False, True], ids=["frozen", "trained"])
def test_a_step_is_above_its_bound_and_its_parts_add_up(is_trained):
    for num_rows in (256, 2600, 8192):
        step = Step(num_rows, is_trained)
        assert bound(step, H100) < seconds(step, H100) < 1.4 * bound(step, H100)
        assert seconds(step, H100) == pytest.approx(sum(parts(step, H100).values()))
        assert seconds(step, H200) < seconds(step, H100)
        assert (parts(step, H100)["grad head"] > 0) == is_trained


def test_the_plan_is_what_is_modelled(monkeypatch):
    before = seconds(Step(2600, False), H100)
    monkeypatch.setattr(planning, "best_columns", lambda *sizes: 1024)
    assert seconds(Step(2600, False), H100) > 1.1 * before


def test_what_has_no_plan_is_refused(monkeypatch):
    monkeypatch.setattr("benchmarks.predictions.model.DEFAULT_WORKSPACE_BYTES", 1 << 20)
    with pytest.raises(ValueError, match="no useful piece"):
        seconds(Step(4096, True), H100)
