"""MKL's product of bfloat16 with float32 results, against float64, in every layout that the fallback hands it."""

from __future__ import annotations

import pytest
import torch

from lift_kernels.fallback import linear_cross_entropy as backend
from lift_kernels.fallback import mkl
from lift_kernels.linear_head import LinearHead, NeedsGrad
from lift_kernels.testing import Head

needs_mkl = pytest.mark.skipif(not mkl.is_available(), reason="needs MKL and a processor by Intel with AVX512-BF16")


def operand(rows: int, columns: int, layout: str) -> torch.Tensor:
    """Random bfloat16 (rows, columns) as they come: whole, transposed, a part of a wider one, every second column."""
    if layout == "transposed":
        return torch.randn(columns, rows).bfloat16().t()
    if layout == "part":
        whole = torch.full((rows + 3, columns + 5), torch.nan).bfloat16()
        return whole[2 : rows + 2, 1 : columns + 1].copy_(torch.randn(rows, columns))
    if layout == "strided":
        return torch.randn(rows, 2 * columns).bfloat16()[:, ::2]
    return torch.randn(rows, columns).bfloat16()


LAYOUTS = ("whole", "transposed", "part", "strided")


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


@needs_mkl
@pytest.mark.parametrize("is_trained", [False, True])
def test_both_ways_to_the_loss_are_as_exact(is_trained, monkeypatch):
    """The other way is that of processors by others, which widens the head."""
    head = Head.random(50, 64, 300, torch.bfloat16)
    needs = NeedsGrad(hidden_states=True, weight=is_trained, bias=False)

    def found(dtype: torch.dtype = torch.bfloat16) -> tuple[torch.Tensor, ...]:
        kept = head.targets != -100
        stats, _, gradients = backend.loss_gradients(
            head.hidden_states[kept].to(dtype), LinearHead(head.weight.to(dtype)), head.targets[kept],
            torch.ones(int(kept.sum())), needs, workspace_bytes=None, all_stats=True,
        )  # fmt: skip
        return stats.log_prob, stats.entropy, gradients.hidden_states, *([gradients.weight] if is_trained else [])

    truth, by_mkl = found(torch.float64), found()
    monkeypatch.setattr(mkl, "is_available", lambda: False)
    for ours, other, exact in zip(by_mkl, found(), truth, strict=True):
        error, other_error = ((x.double() - exact).square().mean().sqrt() for x in (ours, other))
        assert ours.is_contiguous() and error <= 1.1 * other_error + 1e-7
