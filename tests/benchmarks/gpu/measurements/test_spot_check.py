from __future__ import annotations

import torch
from torch.nn import functional as F

from benchmarks.gpu.measurements.shapes import Shape
from benchmarks.gpu.measurements.spot_check import SpotCheck, complaint


def test_it_is_the_float64_loss_and_some_rows_of_its_gradients():
    hidden_states, weight, targets = Shape(70, 16, 130).inputs(torch.device("cpu"))
    leaves = hidden_states.double().requires_grad_(), weight.double().requires_grad_()
    nll = F.cross_entropy(leaves[0] @ leaves[1].T, targets, reduction="none")
    gradients = torch.autograd.grad(nll.mean(), leaves)
    found = SpotCheck.of(hidden_states, weight, targets)
    errors = found.errors(nll.mean().detach(), *gradients) | {"token error nats": found.nats(-nll.detach())}
    assert errors.keys() == {"loss error nats", "dX error", "dW error", "token error nats"}
    assert max(errors.values()) < 1e-12 and complaint(errors) is None
    assert "dX error" not in found.errors(nll.mean().detach(), None, gradients[1])
    assert "dX error is" in complaint(found.errors(nll.mean().detach(), gradients[0] * 1.01, None))
    assert "loss error nats is" in complaint(found.errors(nll.mean().detach() + 1e-3, None, None))
    assert complaint({"dX error": float("nan")}) is not None
