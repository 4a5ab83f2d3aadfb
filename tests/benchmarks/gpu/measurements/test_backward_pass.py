from __future__ import annotations

import pytest
import torch

from benchmarks.gpu.measurements import backward_pass, internals
from benchmarks.gpu.measurements.backward_pass import backward_alone, head_gradient
from benchmarks.gpu.measurements.measurement import Session
from benchmarks.gpu.measurements.shapes import Shape
from lift_kernels.linear_head import NeedsGrad
from tests.benchmarks.support import SMOKE

SHAPE = Shape(5, 16, 40)


@pytest.mark.parametrize("trained", [False, True])
def test_forward_and_backward_stand_beside_the_least_work(trained):
    outcome = backward_alone(Session(SMOKE), SHAPE, trained=trained)
    least = {"scaling dX", "dW product", "scaling dW"} if trained else {"scaling dX"}
    assert outcome.times.keys() == {"forward", "backward"} | least
    assert outcome.own.keys() == {"forward", "backward"}


def test_a_deferred_gradient_is_timed_apart_and_weighed(monkeypatch):
    class Formed:
        deferred = (torch.zeros(1 << 18), torch.zeros(1 << 18))

    class Backend:
        @staticmethod
        def loss_gradients(hidden_states, head, targets, may_defer=False):
            return None, None, Formed if may_defer else object()

        @staticmethod
        def head_gradients(deferred, grad_loss, needs_grad):
            assert deferred is Formed.deferred and needs_grad == NeedsGrad(True, True, False)

    for module in (backward_pass, internals):
        monkeypatch.setattr(module, "head_backend", lambda config: Backend)
    outcome = head_gradient(Session(SMOKE), SHAPE, deferred=True)
    assert outcome.times.keys() == {"loss_gradients", "head_gradients"} and outcome.numbers["kept MiB"] == 2
    assert outcome.numbers["sum ms"] == sum(row["median_ms"] for row in outcome.times.values())
    assert head_gradient(Session(SMOKE), SHAPE, deferred=False).times.keys() == {"loss_gradients"}
    Formed.deferred = None
    assert "forward pass" in head_gradient(Session(SMOKE), SHAPE, deferred=True).missing
