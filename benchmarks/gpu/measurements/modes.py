"""What a loss's other modes cost beside the plain one, in the same rounds: one shape, a frozen head."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.checks.check import CROSS_ENTROPY, STATISTICS
from benchmarks.gpu.measurements.bound import bound_step
from benchmarks.gpu.measurements.comparison import BOUND, Step, time_in_turns
from benchmarks.gpu.measurements.measurement import Outcome, Session, gate_key
from benchmarks.gpu.measurements.shapes import Shape
from benchmarks.harness.memory import MIB
from lift_kernels import lift_cross_entropy, linear_cross_entropy, linear_token_stats

_LENGTH_SHARE = 4  # rows of the batch that one pass of LIFT sees


def modes(session: Session, shape: Shape) -> Outcome:
    """The statistics pass is one product; everything else is a step of loss and hidden states' gradient."""
    device, backend = session.config.device, session.config.backend
    hidden_states, weight, targets = shape.inputs(device)
    hidden_states.requires_grad_()
    bias = torch.zeros(shape.v, dtype=weight.dtype, device=device)
    wide_weight = weight.float()
    common: dict[str, Any] = {"num_targets": shape.n, "backend": backend}

    def loss(head: Tensor = weight, **options: Any) -> Any:
        result: Any = linear_cross_entropy(hidden_states, head, targets, **{**common, **options})
        return result

    def autocast() -> Any:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            return loss(wide_weight)

    def lift() -> Any:
        rows = _LENGTH_SHARE if shape.n % _LENGTH_SHARE == 0 else 1
        timestep = torch.full((rows,), 0.5, device=device)
        num_keep = torch.full((rows,), shape.n // rows // 2, device=device)
        return lift_cross_entropy(
            hidden_states.view(rows, -1, shape.d), weight, targets.view(rows, -1), timestep, num_keep,
            torch.ones_like(num_keep), seed=0, **common,
        )  # fmt: skip

    makers: dict[str, Callable[[], Any]] = {
        "loss": loss,
        "loss, statistics": lambda: loss(return_stats=True)[0],
        "loss, bias": lambda: loss(bias=bias),
        "loss, softcap": lambda: loss(logit_softcap=30.0),
        "loss of each token": lambda: loss(reduction="none").sum(),
        "loss, 256 MiB": lambda: loss(workspace_bytes=256 * MIB),
        "loss, 32 MiB": lambda: loss(workspace_bytes=32 * MIB),
        "loss, float32 head, autocast": autocast,
        "LIFT in one pass": lift,
    }

    def with_backward(make: Callable[[], Any]) -> Step:
        return lambda: make().backward()

    steps: dict[str, Callable[[], Step]] = {BOUND: lambda: bound_step(hidden_states, weight, trained=False)}
    steps |= {label: partial(with_backward, make) for label, make in makers.items()}
    statistics = {
        "token statistics": partial(linear_token_stats, hidden_states.detach(), weight, targets, **common),
        "token statistics, no targets": partial(
            linear_token_stats, hidden_states.detach(), weight, None, backend=backend
        ),
    }
    steps |= {label: partial(partial, step) for label, step in statistics.items()}

    def clear() -> None:
        hidden_states.grad = None

    rows = time_in_turns(session, steps, clear, lambda label, result: {})
    for label in statistics:
        rows[label].pop("% of bound", None)  # which is that of two products
    return Outcome(rows, {label: _gate(label) for label in rows if label != BOUND}, {}, shape.facts(head="frozen"))


def _gate(label: str) -> str:
    if label.startswith("token statistics"):
        return gate_key(STATISTICS, "default")
    return gate_key(CROSS_ENTROPY, "minimal" if "32 MiB" in label else "default")
