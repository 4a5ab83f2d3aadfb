"""Memory that the caching allocator reserves over steps of ever different numbers of rows."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.gpu.measurements.measurement import Outcome, Session
from benchmarks.gpu.measurements.shapes import Shape
from benchmarks.harness.memory import MIB
from lift_kernels import linear_cross_entropy

_POINTS = 6


def allocator_growth(session: Session, largest: Shape, *, trained: bool, steps: int) -> Outcome:
    """`steps` training steps of 5 to 100 % of the rows of `largest`, in an order that repeats none.

    A workspace whose size follows the rows makes it reserve a block for each; reserved memory then grows with steps.
    """
    config = session.config
    facts = largest.facts(head="trained" if trained else "frozen", steps=steps)
    if not config.on_gpu:
        _run_steps(session, largest, trained, steps)
        return Outcome(shape=facts, missing="needs a CUDA device: a CPU has no such allocator")
    config.release_memory()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_reserved()
    reserved = _run_steps(session, largest, trained, steps)
    numbers: dict[str, Any] = {
        "reserved before MiB": before // MIB,
        "reserved MiB": [value // MIB for value in reserved],
        "allocated at peak MiB": torch.cuda.max_memory_allocated() // MIB,
        "reserved at end over peak allocated": reserved[-1] / max(1, torch.cuda.max_memory_allocated()),
    }
    return Outcome(numbers=numbers, shape=facts)


def row_counts(largest: int, steps: int) -> list[int]:
    """`steps` numbers between a twentieth of `largest` and all of it, spread as a golden-ratio sequence."""
    least = max(1, largest // 20)
    return [least + round((number * 0.6180339887498949 % 1.0) * (largest - least)) for number in range(1, steps + 1)]


def _run_steps(session: Session, largest: Shape, trained: bool, steps: int) -> list[int]:
    hidden_states, weight, targets = largest.inputs(session.config.device)
    weight.requires_grad_(trained)
    reserved = []
    for number, rows in enumerate(row_counts(largest.n, steps), 1):
        leaf = hidden_states[:rows].clone().requires_grad_()  # a model's activations change size too
        loss: Any = linear_cross_entropy(leaf, weight, targets[:rows], num_targets=rows, backend=session.config.backend)
        loss.backward()
        weight.grad = None
        if session.config.on_gpu and (number % max(1, steps // _POINTS) == 0 or number == steps):
            reserved.append(torch.cuda.memory_reserved())
    return reserved
