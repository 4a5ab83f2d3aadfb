"""Whole steps in the same rounds: the bound, ours and others, each with its errors and its peak memory.

A speed of ours is marked, never withheld: `wrong` says what its results lack.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor

from benchmarks.gpu.checks.check import CROSS_ENTROPY
from benchmarks.gpu.measurements.bound import bound_step
from benchmarks.gpu.measurements.internals import products_of
from benchmarks.gpu.measurements.measurement import Outcome, Session, gate_key
from benchmarks.gpu.measurements.shapes import Shape
from benchmarks.gpu.measurements.spot_check import SpotCheck, complaint
from benchmarks.gpu.measurements.stopwatch import LONG, percent, rounds
from benchmarks.harness import timing
from benchmarks.harness.error_record import describe_error
from benchmarks.harness.memory import MIB, cuda_peak_of
from benchmarks.harness.run_config import RunConfig
from benchmarks.rivals.table import RIVALS
from lift_kernels import linear_cross_entropy

BOUND, OWN, OWN_SMALL, OWN_TORCH = "bound", "ours", "ours, 32 MiB", "ours, torch backend"
# Label -> the checks that gate it, and options of the op. Of the torch backend the timed shape itself is the check.
OWN_PROVIDERS: dict[str, tuple[str, dict[str, Any]]] = {
    OWN: (gate_key(CROSS_ENTROPY, "default"), {}),
    OWN_SMALL: (gate_key(CROSS_ENTROPY, "minimal"), {"workspace_bytes": 32 * MIB}),
    OWN_TORCH: (gate_key(CROSS_ENTROPY, "torch"), {"backend": "torch"}),
}
Rows = dict[str, dict[str, Any]]
# Computes once; what it returns is handed to a `Look`.
Step = Callable[[], Any]
# (label, what its step returned) -> what else its row says.
Look = Callable[[str, Any], dict[str, Any]]


def compare(session: Session, shape: Shape, *, trained: bool, labels: tuple[str, ...]) -> Outcome:
    """Time the mean loss and its gradients by each of `labels` that can run here, after the bound."""
    config = session.config
    hidden_states, weight, targets = shape.inputs(config.device)
    truth = SpotCheck.of(hidden_states, weight, targets)
    numbers = {"products": _products(config, (hidden_states, weight, targets), trained)} if labels == (OWN,) else {}
    leaves = (hidden_states.requires_grad_(), weight.requires_grad_(trained))
    config.release_memory()

    def loss_of(label: str, **more: Any) -> Any:
        if label not in OWN_PROVIDERS:
            return RIVALS[label].loss(hidden_states, weight, targets)
        options = {"backend": config.backend, "num_targets": shape.n, **OWN_PROVIDERS[label][1], **more}
        return linear_cross_entropy(hidden_states, weight, targets, **options)

    def step_of(label: str) -> Step:
        def step() -> Tensor:
            loss = loss_of(label)
            loss.backward()
            return loss.detach()

        return step

    def look(label: str, loss: Any) -> dict[str, Any]:
        if label == BOUND:
            return {}
        errors = truth.errors(loss, hidden_states.grad, weight.grad)
        if label not in OWN_PROVIDERS:
            return errors
        errors["token error nats"] = truth.nats(loss_of(label, return_stats=True)[1].log_prob.detach())
        wrong = complaint(errors)
        return errors if wrong is None else {**errors, "wrong": wrong}

    steps: dict[str, Callable[[], Step]] = {BOUND: lambda: bound_step(*leaves, trained=trained)}
    steps |= {label: partial(step_of, label) for label in labels if _can_run(label, config)}
    rows = time_in_turns(session, steps, lambda: _clear(leaves), look)
    products = 3 if trained else 2
    for row in rows.values():
        if "median_ms" in row:
            row["TFLOP/s"] = 2e-9 * products * shape.n * shape.d * shape.v / row["median_ms"]
    own = {label: OWN_PROVIDERS[label][0] for label in rows if label in OWN_PROVIDERS}
    return Outcome(rows, own, numbers, shape.facts(head="trained" if trained else "frozen"))


def time_in_turns(session: Session, steps: Mapping[str, Callable[[], Step]], clear: Step, look: Look) -> Rows:
    """Make, look at and time each step; a row of errors for one that raises, and percents of the bound for all."""
    config, rows, running = session.config, dict[str, dict[str, Any]](), dict[str, Step]()

    def failed(label: str, error: Exception) -> None:
        description = describe_error(error)
        rows[label] |= {"error": description["sentence"], "traceback": description["traceback"]}
        config.synchronize()  # raises where the device is lost, which ends this process

    for label, make in steps.items():
        rows[label] = {}
        if label in session.skip:
            rows[label]["error"] = "its process ended before: see crashes"
            continue
        session.announce(label)
        try:
            step = make()
            clear()
            rows[label] |= look(label, step())
            clear()
            if config.on_gpu and label != BOUND:  # which writes into memory that it holds
                rows[label]["peak MiB"] = cuda_peak_of(step) / MIB
            running[label] = step
        except Exception as error:
            failed(label, error)
        clear()
        if "error" in rows[label]:
            gc.collect()  # what a failed step leaves in cycles may be gigabytes
        config.release_memory()
    session.announce("the timed rounds")
    clock, window = timing.clock_for(config), rounds(config, LONG * max(1, len(running) // 2))
    for label, samples in timing.time_in_turns(running, clear, clock, window, failed).items():
        rows[label] |= timing.summarize(samples)
    bound = rows.get(BOUND, {}).get("median_ms")
    for row in rows.values():
        if bound is not None and "median_ms" in row:
            row["% of bound"] = percent(bound, row["median_ms"])
    return rows


def _can_run(label: str, config: RunConfig) -> bool:
    return label not in RIVALS or RIVALS[label].obstacle(config.device) is None


def _products(config: RunConfig, inputs: tuple[Tensor, Tensor, Tensor], trained: bool) -> dict[str, int]:
    """Sizes M x K x N of the backend's products, with how often each is taken."""
    counts: dict[str, int] = {}
    for size in products_of(config, inputs, trained=trained):
        name = "x".join(map(str, size))
        counts[name] = counts.get(name, 0) + 1
    return counts


def _clear(leaves: tuple[Tensor, ...]) -> None:
    for leaf in leaves:
        leaf.grad = None
