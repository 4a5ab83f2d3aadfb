from __future__ import annotations

import torch

from benchmarks.gpu.measurements import products
from benchmarks.gpu.measurements.measurement import Session
from benchmarks.gpu.measurements.products import multiply_to_float32, piece, planned_columns, whole_products
from benchmarks.gpu.measurements.shapes import Shape
from tests.benchmarks.support import SMOKE, SMOKE_KERNELS

SHAPE = Shape(5, 16, 40)


def test_the_three_products_of_a_step_each_have_a_rate():
    times = whole_products(Session(SMOKE), SHAPE).times
    assert times.keys() == {"logits", "dX", "dW"}
    for row in times.values():
        assert row["TFLOP/s"] == 2e-9 * 5 * 16 * 40 / row["median_ms"]


def test_a_piece_is_timed_once_for_each_slice_and_scaled_to_the_vocabulary():
    outcome = piece(Session(SMOKE), SHAPE, 8)
    row = outcome.times["piece"]
    assert outcome.shape["columns"] == 8 and row["MiB"] == 4 * 5 * 8 / 2**20
    assert row["whole vocabulary ms"] == row["median_ms"] * 5


def test_what_is_planned_is_found_by_watching(monkeypatch):
    inputs = SHAPE.inputs(SMOKE.device)
    assert planned_columns(SMOKE_KERNELS, *inputs) == piece(Session(SMOKE_KERNELS), SHAPE, None).shape["columns"]
    monkeypatch.setattr(products, "products_of", lambda *_, **__: [(5, 40, 16), (5, 16, 24), (5, 16, 16)])
    assert planned_columns(SMOKE, *inputs) == 24
    monkeypatch.setattr(products, "products_of", lambda *_, **__: [])
    assert "no piece" in piece(Session(SMOKE), SHAPE, None).missing


def test_the_product_is_in_float32():
    a, b, out = torch.randn(4, 8).bfloat16(), torch.randn(8, 3).bfloat16(), torch.empty(4, 3)
    multiply_to_float32(a, b, out)
    torch.testing.assert_close(out.double(), a.double() @ b.double(), rtol=1e-6, atol=1e-6)
