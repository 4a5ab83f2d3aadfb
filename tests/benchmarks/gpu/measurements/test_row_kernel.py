from __future__ import annotations

import torch

from benchmarks.gpu.measurements.internals import row_kernel_launcher
from benchmarks.gpu.measurements.measurement import Session
from benchmarks.gpu.measurements.row_kernel import row_kernel
from benchmarks.gpu.measurements.shapes import Shape
from tests.benchmarks.support import SMOKE, SMOKE_KERNELS

SHAPE = Shape(2, 16, 40)


def test_both_speeds_have_a_bandwidth_and_a_gate():
    outcome = row_kernel(Session(SMOKE_KERNELS), SHAPE, 16)
    assert outcome.times.keys() == outcome.own.keys() == {"memory", "cached"}
    for row in outcome.times.values():
        assert row["TB/s"] == 1e-9 * 6 * 2 * 16 / row["median_ms"]
    assert outcome.shape["columns"] == 16
    assert "no row kernel" in row_kernel(Session(SMOKE), SHAPE, 16).missing


def test_what_is_timed_is_the_softmax_of_a_piece():
    logits = [torch.randn(2, 16) for _ in range(2)]
    exponentials = torch.full((2, 64), float("nan"), dtype=torch.bfloat16)[:, :40]
    launch = row_kernel_launcher(logits, torch.tensor([38, 39]), exponentials)
    launch(0, 0)
    launch(1, 1)
    # Each row's are relative to a reference of its own.
    ratio = exponentials[:, :32].double() / torch.cat(logits, 1).double().softmax(-1)
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), rtol=2e-2, atol=0)
    assert exponentials[:, 32:].isnan().all()
