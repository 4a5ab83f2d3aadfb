"""The targets' part in the gradients."""

from __future__ import annotations

import torch

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
