"""The backward pass by itself, and the two ways to the head's gradient: formed in the forward pass, or deferred."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.checks.check import CROSS_ENTROPY
from benchmarks.gpu.measurements.internals import gradient_former, head_backend
from benchmarks.gpu.measurements.measurement import Outcome, Session, gate_key
from benchmarks.gpu.measurements.shapes import Shape
from benchmarks.gpu.measurements.stopwatch import time_steps
from lift_kernels import linear_cross_entropy

_SECONDS = 0.25
_GATE = gate_key(CROSS_ENTROPY, "default")


def backward_alone(session: Session, shape: Shape, *, trained: bool) -> Outcome:
    """Forward and backward of the public op, each by itself; beside them the least that a backward can do.

    "scaling dX" reads and writes the hidden states' gradient once, and "dW product" is the product that a deferred
    gradient of the head takes; one formed before is read and written once, "scaling dW".
    """
    config = session.config
    hidden_states, weight, targets = shape.inputs(config.device)
    leaves = [hidden_states.requires_grad_(), *([weight.requires_grad_()] if trained else [])]
    state: dict[str, Any] = {}

    def forward() -> Tensor:
        loss: Any = linear_cross_entropy(hidden_states, weight, targets, num_targets=shape.n, backend=config.backend)
        return loss

    def prepare() -> None:
        state.clear()
        state["loss"] = forward()

    def backward() -> None:
        torch.autograd.grad(state["loss"], leaves)

    times = time_steps(config, {"forward": forward}, seconds=_SECONDS)
    times |= time_steps(config, {"backward": backward}, seconds=_SECONDS, clear=prepare)
    state.clear()
    config.release_memory()
    with torch.no_grad():
        times |= time_steps(config, _least_work(shape, hidden_states, weight, trained), seconds=_SECONDS)
    return Outcome(
        times, dict.fromkeys(("forward", "backward"), _GATE), shape=shape.facts(head="trained" if trained else "frozen")
    )


def _least_work(shape: Shape, hidden_states: Tensor, weight: Tensor, trained: bool) -> dict[str, Any]:
    factor = torch.ones((), device=weight.device)
    rows, scaled_rows = torch.zeros_like(hidden_states), torch.empty_like(hidden_states)
    steps: dict[str, Any] = {"scaling dX": lambda: torch.mul(rows, factor, out=scaled_rows)}
    if trained:
        logits = torch.zeros(shape.n, shape.v, dtype=weight.dtype, device=weight.device)
        grad_weight, scaled_weight = torch.zeros_like(weight), torch.empty_like(weight)
        steps["dW product"] = lambda: torch.mm(logits.t(), hidden_states, out=grad_weight)
        steps["scaling dW"] = lambda: torch.mul(grad_weight, factor, out=scaled_weight)
    return steps


def head_gradient(session: Session, shape: Shape, *, deferred: bool) -> Outcome:
    """The backend alone, a trained head: `loss_gradients`, and where it defers also `head_gradients`."""
    config = session.config
    facts = shape.facts(head="trained", gradient="deferred" if deferred else "formed")
    inputs = shape.inputs(config.device)
    form, needs_grad = gradient_former(config, inputs, trained=True, may_defer=deferred)
    kept = getattr(form(), "deferred", None)
    if deferred and kept is None:
        return Outcome(shape=facts, missing="the backend forms the head's gradient in the forward pass here")
    steps: dict[str, Any] = {"loss_gradients": form}
    if kept is not None:
        backend, grad_loss = head_backend(config), torch.ones((), device=config.device)
        steps["head_gradients"] = lambda: backend.head_gradients(kept, grad_loss, needs_grad)
    times = time_steps(config, steps, seconds=_SECONDS)
    numbers: dict[str, Any] = {"sum ms": sum(summary["median_ms"] for summary in times.values())}
    if kept is not None:
        numbers["kept MiB"] = sum(tensor.numel() * tensor.element_size() for tensor in kept) / 2**20
    return Outcome(times, dict.fromkeys(times, _GATE), numbers, facts)
