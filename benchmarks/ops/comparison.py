"""One timed case: errors of every provider against float64, peak memory, then times, in one record."""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.harness import timing
from benchmarks.harness.error_record import describe_error
from benchmarks.harness.memory import MIB
from benchmarks.harness.run_config import RunConfig
from benchmarks.ops.case_accuracy import CaseTruth
from benchmarks.ops.cases import Case, Inputs
from benchmarks.ops.own_providers import LiftKernels
from benchmarks.ops.peak_memory import MeasurePeak, peak_on_device
from benchmarks.ops.provider import Provider, Step
from benchmarks.ops.providers import BOUND, PROVIDERS


@dataclass
class Comparison:
    """Compares all providers on one case.

    Attributes:
        gates: path -> gate of the case's op, of an accuracy matrix that ran before; None: the case's own check is all.
        num_rounds: from the milliseconds of one round, as in `time_in_turns`.
        measure_peak: bytes of one step of a provider beyond those before it, or None where they are not counted.
        skip: providers that crashed before.
        announce: is told which provider comes next, so that a crash of the process has a name.
    """

    case: Case
    config: RunConfig
    gates: Mapping[str, str] | None
    num_rounds: Callable[[float], int]
    measure_peak: MeasurePeak = peak_on_device
    skip: Collection[str] = ()
    announce: Callable[[str], None] = lambda name: None
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Return the record: the case, and a row for each provider that takes it."""
        inputs = self.case.inputs(self.config.device)
        steps = self._steps(inputs)
        self.config.release_memory()
        self.announce("the timed rounds")
        clock = timing.clock_for(self.config)
        samples = timing.time_in_turns(steps, _clearing(inputs), clock, self.num_rounds, self._failed)
        for name, of_provider in samples.items():
            self.rows[name] |= timing.summarize(of_provider)
        return self._record()

    def _steps(self, inputs: Inputs) -> dict[str, Step]:
        """Steps that have run and may be timed. The truth is gone when this returns: it takes gigabytes."""
        truth = CaseTruth(self.case, inputs)
        steps = {}
        for name, provider in PROVIDERS.items():
            if not provider.takes(self.case):
                continue
            self.rows[name] = row = {"provider": name}
            if name in self.skip:
                row["error"] = "its process crashed before: see crashes"
            elif missing := provider.missing(self.config):
                row["missing"] = missing
            elif self._is_withheld(provider):
                row["withheld"] = "its accuracy gate is not green"
            else:
                self.announce(name)
                try:
                    step = provider.prepare(self.case, inputs, self.config)
                    if self._may_be_timed(name, provider, step, inputs, truth):
                        steps[name] = step
                except Exception as error:
                    self._failed(name, error)
                _clearing(inputs)()
                if "error" in row:
                    gc.collect()  # what a failed step leaves in cycles may be gigabytes
                self.config.release_memory()
        return steps

    def _is_withheld(self, provider: Provider) -> bool:
        if self.gates is None or not isinstance(provider, LiftKernels) or provider.gate_path is None:
            return False
        return self.gates.get(provider.gate_path) != "green"

    def _may_be_timed(self, name: str, provider: Provider, step: Step, inputs: Inputs, truth: CaseTruth) -> bool:
        row, clear = self.rows[name], _clearing(inputs)
        clear()
        row |= truth.errors(step(), inputs)
        if isinstance(provider, LiftKernels):
            failures = truth.judge(provider, step, inputs, self.config).failures
            if failures:
                row["wrong"] = failures[0]
                return False
        if name != BOUND:  # which writes into memory that it holds
            clear()
            peak = self.measure_peak(name, self.case, step, self.config)
            row["peak_mib"] = None if peak is None else peak / MIB
            clear()
        return True

    def _failed(self, name: str, error: Exception) -> None:
        description = describe_error(error)
        self.rows[name] |= {"error": description["sentence"], "traceback": description["traceback"]}
        self.config.synchronize()  # raises where the device is lost, which ends this process

    def _record(self) -> dict[str, Any]:
        case = self.case
        bound = self.rows[BOUND].get("median_ms")
        for row in self.rows.values():
            if "median_ms" in row:
                row["tflops"] = case.flops / row["median_ms"] / 1e9
                row["percent_of_bound"] = None if bound is None else 100 * bound / row["median_ms"]
        return {
            "case": case.name, "kind": case.kind, "N": case.num_tokens, "targets": case.num_targets, "D": case.width,
            "V": case.vocab_size, "dtype": str(case.dtype), "providers": list(self.rows.values()),
        }  # fmt: skip


def _clearing(inputs: Inputs) -> Callable[[], None]:
    def clear() -> None:
        for leaf in inputs[:2]:
            leaf.grad = None

    return clear
