"""MKL's product of bfloat16 with float32 results, against float64, in every layout that the fallback hands it."""

from __future__ import annotations

import pytest
import torch

from lift_kernels.fallback import mkl
from tests.lift_kernels.fallback.operands import LAYOUTS, operand

needs_mkl = pytest.mark.skipif(not mkl.is_available(), reason="needs MKL and a processor by Intel with AVX512-BF16")


@needs_mkl
@pytest.mark.parametrize("of_a", LAYOUTS)
@pytest.mark.parametrize("of_b", LAYOUTS)
def test_is_the_float32_product(of_a, of_b):
    a, b = operand(37, 130, of_a), operand(130, 19, of_b)
    truth = a.double() @ b.double()
    for out in (torch.full((37, 19), torch.nan), torch.full((19, 37), torch.nan).t(), torch.zeros(37, 40)[:, 3:22]):
        assert mkl.multiply(a, b, out) is out
        torch.testing.assert_close(out.double(), truth, rtol=1e-6, atol=2e-5)
        mkl.multiply(a, b, out, accumulate=True)
        torch.testing.assert_close(out.double(), 2 * truth, rtol=1e-6, atol=4e-5)


@needs_mkl
@pytest.mark.parametrize(("rows", "inner", "columns"), [(0, 4, 3), (3, 4, 0), (1, 1, 1), (1, 5, 2), (2, 5, 1)])
def test_small_and_empty(rows, inner, columns):
    a, b = operand(rows, inner, "whole"), operand(inner, columns, "whole")
    for out in (torch.empty(rows, columns), torch.empty(columns, rows).t()):
        torch.testing.assert_close(mkl.multiply(a, b, out).double(), a.double() @ b.double(), rtol=1e-6, atol=1e-6)
