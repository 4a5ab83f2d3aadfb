"""The kernel between the products by itself: float32 logits of some columns in, bfloat16 exponentials out."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.gpu.checks.check import CROSS_ENTROPY
from benchmarks.gpu.measurements.internals import row_kernel_launcher
from benchmarks.gpu.measurements.measurement import Outcome, Session, gate_key
from benchmarks.gpu.measurements.shapes import Shape
from benchmarks.gpu.measurements.stopwatch import SHORT, median, time_steps

_BYTES = 4 + 2  # of a logit: read in float32, its exponential written in bfloat16
_ALIGNED_ELEMENTS = 64  # rows of exponentials start at multiples of 128 bytes
_MOST_BUFFERS = 6  # together larger than the second-level cache, so that each is read from memory


def row_kernel(session: Session, shape: Shape, columns: int) -> Outcome:
    """Pieces after a row's first, whose maximum is known. "cached": the same piece again; "memory": another each time.

    In the op a piece comes from the product before, partly in the cache: its time lies between the two.
    """
    facts = shape.facts(columns=columns)
    if session.config.backend != "triton":
        return Outcome(shape=facts, missing="the torch backend has no row kernel")
    count = min(_MOST_BUFFERS, shape.v // columns)
    logits = [torch.randn(shape.n, columns, device=session.config.device) for _ in range(count)]
    targets = torch.randint(shape.v, (shape.n,), device=session.config.device)
    row_stride = -(-shape.v // _ALIGNED_ELEMENTS) * _ALIGNED_ELEMENTS
    exponentials = torch.empty(shape.n, row_stride, dtype=torch.bfloat16, device=targets.device)[:, : shape.v]
    launch = row_kernel_launcher(logits, targets, exponentials)

    def from_memory() -> None:
        for number in range(count):
            launch(number, number)

    def cached() -> None:
        for _ in range(count):
            launch(0, min(1, count - 1))

    from_memory()  # so that later launches find every row's maximum
    times: dict[str, dict[str, Any]] = {}
    for label, step in (("memory", from_memory), ("cached", cached)):
        times |= time_steps(session.config, {label: step}, seconds=SHORT, repeats=count)
        times[label]["TB/s"] = 1e-9 * _BYTES * shape.n * columns / median(times, label)
    return Outcome(times, dict.fromkeys(times, gate_key(CROSS_ENTROPY, "default")), shape=facts)
