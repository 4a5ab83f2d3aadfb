from __future__ import annotations

import math

import pytest

from benchmarks.gpu.measurements.internals import call_by_name, gradient_former, products_of
from benchmarks.gpu.measurements.shapes import Shape
from lift_kernels.fallback import brgemm, mkl
from tests.benchmarks.support import SMOKE, SMOKE_KERNELS

SHAPE = Shape(5, 16, 40)


@pytest.mark.parametrize("config", [SMOKE, SMOKE_KERNELS], ids=["fallback", "kernels"])
def test_every_product_is_seen_and_every_gradient_formed(config, monkeypatch):
    for unseen in (mkl, brgemm):  # torch's counter does not see their products
        monkeypatch.setattr(unseen, "is_available", lambda: False)
    inputs = SHAPE.inputs(config.device)
    for trained, number in ((False, 2), (True, 3)):  # whole or in pieces
        assert sum(map(math.prod, products_of(config, inputs, trained=trained))) == number * 5 * 16 * 40
    form, needs_grad = gradient_former(config, inputs, trained=True, may_defer=False)
    gradients = form()
    assert needs_grad == (True, True, False)
    assert gradients.hidden_states.shape == (5, 16) and gradients.weight.shape == (40, 16)


def test_a_function_is_given_what_it_takes_and_says_what_it_lacks():
    known = {"a": 1, "b": 2, "c": 3}
    assert call_by_name(lambda c, a, d=4: (a, c, d), known) == (1, 3, 4)
    with pytest.raises(TypeError, match="needs e, which this measurement does not know"):
        call_by_name(lambda a, e: None, known)
