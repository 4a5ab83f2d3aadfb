from __future__ import annotations

from functools import partial

import mpmath
import pytest
import torch
from torch.nn import functional as F

from benchmarks.certainty import exact, head, hidden_state, relative_errors
from benchmarks.rivals.plain_logits import float32_logits
from lift_kernels import linear_cross_entropy


def test_the_truth_is_that_of_float64_where_that_has_the_digits():
    weight = head()
    leaf = torch.tensor([[3.0]], dtype=torch.float64, requires_grad=True)
    loss = F.cross_entropy(F.linear(leaf, weight.double()), torch.zeros(1, dtype=torch.long))
    loss.backward()
    true_loss, true_gradient, missing = exact(3.0, weight)
    assert float(true_loss) == pytest.approx(loss.item(), rel=1e-12)
    assert float(true_gradient) == pytest.approx(leaf.grad.item(), rel=1e-12)
    assert float(missing) == pytest.approx(1 - mpmath.exp(-true_loss), rel=1e-12)


@pytest.mark.parametrize("exponent", [4, 12])
def test_the_token_is_as_certain_as_asked_for(exponent):
    weight = head()
    assert float(exact(hidden_state(weight, exponent), weight)[2]) == pytest.approx(10**-exponent, rel=1e-4)


def test_ours_keeps_its_digits_and_logits_lose_theirs():
    ours = partial(linear_cross_entropy, backend="torch")
    cpu = torch.device("cpu")
    assert max(relative_errors(ours, 10, cpu)) < 2e-6
    assert min(relative_errors(float32_logits, 10, cpu)) > 0.9
