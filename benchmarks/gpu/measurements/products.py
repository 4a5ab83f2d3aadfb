"""Matrix products by themselves: whole ones, and the pieces of columns that the head is cut into.

Neither is ours. The time of a piece by its number of columns says how `lift_kernels.kernels.plan` should cut.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.gpu.measurements.internals import products_of
from benchmarks.gpu.measurements.measurement import Outcome, Session
from benchmarks.gpu.measurements.shapes import Shape
from benchmarks.gpu.measurements.stopwatch import SHORT, median, time_steps
from benchmarks.harness.run_config import RunConfig

# Different slices of the head, one after the other, as the op takes them: the same one again would be in the cache.
_SLICES = 8
WHOLE_VOCABULARY = "whole vocabulary ms"


def whole_products(session: Session, shape: Shape) -> Outcome:
    """The three products of a training step, in bfloat16 into memory that is there already."""
    hidden_states, weight, _ = shape.inputs(session.config.device)
    logits = hidden_states.new_empty(shape.n, shape.v)
    grad_hidden, grad_weight = torch.empty_like(hidden_states), torch.empty_like(weight)
    steps = {
        "logits": lambda: torch.mm(hidden_states, weight.t(), out=logits),
        "dX": lambda: torch.mm(logits, weight, out=grad_hidden),
        "dW": lambda: torch.mm(logits.t(), hidden_states, out=grad_weight),
    }
    times = time_steps(session.config, steps, seconds=0.2)
    for name, row in times.items():
        row["TFLOP/s"] = _rate(shape, shape.v, median(times, name))
    return Outcome(times, shape=shape.facts())


def piece(session: Session, shape: Shape, columns: int | None) -> Outcome:
    """Logits of some columns, in float32: what the op computes before each launch of its row kernel.

    `columns` None: as many as the backend itself takes for this shape, found by watching it.
    """
    hidden_states, weight, targets = shape.inputs(session.config.device)
    if columns is None:
        columns = planned_columns(session.config, hidden_states, weight, targets)
        if columns is None:
            return Outcome(shape=shape.facts(), missing="the backend computes no piece by a matrix product here")
    logits = torch.empty(shape.n, columns, dtype=torch.float32, device=weight.device)
    count = min(_SLICES, max(1, shape.v // columns))
    slices = [weight[i * columns : (i + 1) * columns].t() for i in range(count)]

    def step() -> None:
        for part in slices:
            multiply_to_float32(hidden_states, part, logits)

    times = time_steps(session.config, {"piece": step}, seconds=SHORT, repeats=count)
    each = median(times, "piece")
    times["piece"] |= {
        "TFLOP/s": _rate(shape, columns, each), "MiB": 4 * shape.n * columns / 2**20,
        WHOLE_VOCABULARY: each * shape.v / columns,
    }  # fmt: skip
    return Outcome(times, shape=shape.facts(columns=columns))


def multiply_to_float32(a: Tensor, b: Tensor, out: Tensor) -> None:
    """out = a @ b in float32 from bfloat16: (M, K), (K, N) -> (M, N). On a CPU, where torch has none, by copies."""
    if a.is_cuda and torch.version.hip is None:
        torch.mm(a, b, out_dtype=torch.float32, out=out)
    else:
        torch.mm(a.float(), b.float(), out=out)


def planned_columns(config: RunConfig, hidden_states: Tensor, weight: Tensor, targets: Tensor) -> int | None:
    """Return how many columns the backend computes at a time at its default workspace, or None where it does not."""
    (num_rows, width), vocab_size = hidden_states.shape, weight.shape[0]
    sizes = products_of(config, (hidden_states, weight, targets), trained=False)
    widths = [n for m, k, n in sizes if k == width and n <= vocab_size and m <= num_rows]
    return widths[0] if widths else None


def _rate(shape: Shape, columns: int, milliseconds: float) -> float:
    return 2e-9 * shape.n * shape.d * columns / milliseconds
