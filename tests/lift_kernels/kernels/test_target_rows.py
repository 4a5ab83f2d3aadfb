from __future__ import annotations

import pytest
import torch

from lift_kernels.kernels.target_rows import add_target_rows

# 40 rows of one target are more than a block of 32; -100 and 6 are no rows of the head.
TARGETS = torch.tensor([4, 0, -100, 6, *[2] * 40])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_each_row_of_the_head_gets_the_sum_of_its_targets(dtype):
    generator = torch.Generator().manual_seed(0)
    rows, factor = torch.randn(44, 130, generator=generator).to(dtype), torch.randn(44, generator=generator)
    before = torch.randn(6, 130, generator=generator).to(dtype)
    grad_weight, grad_bias = before.clone(), torch.ones(6)
    add_target_rows(rows.t().contiguous().t(), factor, TARGETS, grad_weight, grad_bias)
    is_inside = (TARGETS >= 0) & (TARGETS < 6)
    terms = (rows.double() * factor.double()[:, None])[is_inside]
    true = before.double().index_add(0, TARGETS[is_inside], terms)
    torch.testing.assert_close(grad_weight.double(), true, rtol=torch.finfo(dtype).eps / 2, atol=2e-5)
    true_bias = torch.ones(6).double().index_add(0, TARGETS[is_inside], factor.double()[is_inside])
    torch.testing.assert_close(grad_bias.double(), true_bias, rtol=1e-6, atol=1e-6)
    assert torch.equal(grad_weight[[1, 3, 5]], before[[1, 3, 5]])  # rows that are no target keep their bits


@pytest.mark.parametrize("has_weight", [True, False])
def test_either_gradient_alone(has_weight):
    rows, factor, targets = torch.ones(3, 4), torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1, 0, 1])
    gradient = torch.zeros((2, 4) if has_weight else 2)
    add_target_rows(rows, factor, targets, gradient if has_weight else None, None if has_weight else gradient)
    assert gradient.view(2, -1)[:, 0].tolist() == [2.0, 5.0]
