"""The targets' part in the gradients."""

from __future__ import annotations

import pytest
import torch

from lift_kernels.fallback import target_rows
from lift_kernels.fallback.target_rows import add_to_bias, add_to_hidden, add_to_weight

TARGETS = torch.tensor([4, 0, 4, 2, 4])
COEFFICIENT = torch.tensor([1.0, 2.0, 2.0**-12, 4.0, 2.0**-12])


def test_rows_of_the_same_target_are_summed_before_they_are_rounded():
    grad_weight = torch.zeros(6, 3, dtype=torch.bfloat16)
    add_to_weight(grad_weight, COEFFICIENT * 2**4, torch.ones(5, 3, dtype=torch.bfloat16), TARGETS)
    assert grad_weight[:, 0].tolist() == [32.0, 0.0, 64.0, 0.0, 16.0, 0.0]
    grad_weight = torch.full((6, 3), 1.0)
    add_to_weight(grad_weight, COEFFICIENT, torch.ones(5, 3), TARGETS)
    assert grad_weight[:, 1].tolist() == [3.0, 1.0, 5.0, 1.0, 2.0 + 2.0**-11, 1.0]


def test_hidden_states_and_bias():
    weight = torch.arange(18.0).view(6, 3).bfloat16()
    grad_hidden = torch.ones(5, 3)
    add_to_hidden(grad_hidden, COEFFICIENT, weight, TARGETS)
    assert grad_hidden.equal(1 + COEFFICIENT[:, None] * weight.float()[TARGETS])
    grad_bias = torch.ones(6)
    add_to_bias(grad_bias, COEFFICIENT, TARGETS)
    assert grad_bias.tolist() == [3.0, 1.0, 5.0, 1.0, 2.0 + 2.0**-11, 1.0]


def test_no_rows():
    grad_weight, nothing = torch.ones(6, 3), torch.empty(0, dtype=torch.int64)
    add_to_weight(grad_weight, torch.empty(0), torch.empty(0, 3), nothing)
    assert grad_weight.equal(torch.ones(6, 3))


def test_a_frequent_target_s_sum_keeps_its_digits():
    # Added one after another in float32, a hundred thousand equal terms are off by 1e-4.
    targets = torch.tensor([3, 1]).repeat_interleave(torch.tensor([100_000, 7]))[torch.randperm(100_007)]
    coefficient, rows = torch.full((100_007,), 0.1), torch.full((100_007, 2), 1.0)
    grad_weight, grad_bias = torch.zeros(5, 2), torch.zeros(5)
    add_to_weight(grad_weight, coefficient, rows, targets)
    add_to_bias(grad_bias, coefficient, targets)
    expected = coefficient[0].double() * torch.tensor([0, 7, 0, 100_000, 0]).double()
    torch.testing.assert_close(grad_bias.double(), expected, rtol=1e-7, atol=0)
    torch.testing.assert_close(grad_weight.double(), expected[:, None].expand(5, 2), rtol=1e-5, atol=0)


@pytest.mark.parametrize("num_rows", [5, 256, 257, 1000])
def test_pieces_of_the_width_and_of_a_target_s_rows_change_no_sum(num_rows, monkeypatch):
    rows, coefficient = torch.randn(num_rows, 40).double(), torch.randn(num_rows).double()
    targets = torch.randint(3, (num_rows,)).square()
    expected = torch.ones(9, 40).double().index_add_(0, targets, rows * coefficient[:, None])
    for elements in (1, 17 * num_rows, 1 << 18):
        monkeypatch.setattr(target_rows, "_BLOCK_ELEMENTS", elements)
        grad_weight = torch.ones(9, 40).double()
        add_to_weight(grad_weight, coefficient, rows, targets)
        torch.testing.assert_close(grad_weight, expected)
