"""One timed case: errors of every provider against float64, then times, in one record."""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu import timing
from benchmarks.gpu.cases import GpuCase
from benchmarks.gpu.checks import describe
from benchmarks.gpu.findings import Findings, relative_error
from benchmarks.gpu.providers import BOUND, PROVIDERS, Inputs, Ours, Provider, Step
from benchmarks.gpu.setting import Setting
from benchmarks.gpu.truth import reference_losses, reference_stats
from lift_kernels import linear_cross_entropy
from lift_kernels.testing import Head

WINDOW_SECONDS = 1.5


@dataclass
class Comparison:
    """`announce` is told which provider comes next, so that a crash of the process has a name.

    `skip` names providers that crashed before; `gates` holds the gates of this case's op by path.
    """

    case: GpuCase
    setting: Setting
    gates: dict[str, str]
    skip: Collection[str] = ()
    announce: Callable[[str], None] = lambda name: None
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        inputs = self.case.inputs(self.setting.device)
        steps = self._steps(inputs)
        self.setting.free()
        self.announce("the timed rounds")
        clock, window = timing.clock_for(self.setting), 0.01 if self.setting.is_smoke else WINDOW_SECONDS
        for name, samples in timing.interleaved(steps, _clearing(inputs), clock, window, self._failed).items():
            self.rows[name] |= timing.summary(samples)
        return self._record()

    def _steps(self, inputs: Inputs) -> dict[str, Step]:
        """Steps that have run and may be timed. The truth is gone when this returns: it takes gigabytes."""
        truth = _Truth(self.case, self.setting, inputs)
        steps = {}
        for name, provider in PROVIDERS.items():
            if not provider.takes(self.case):
                continue
            self.rows[name] = row = {"provider": name}
            if name in self.skip:
                row["error"] = "its process crashed before: see crashes"
            elif isinstance(provider, Ours) and provider.gate_path and self.gates.get(provider.gate_path) != "green":
                row["withheld"] = "its accuracy gate is not green"
            else:
                self.announce(name)
                try:
                    step = provider.prepare(self.case, self.setting, inputs)
                    if self._may_be_timed(name, provider, step, inputs, truth):
                        steps[name] = step
                except Exception as error:
                    self._failed(name, error)
                _clearing(inputs)()
                if "error" in row:
                    gc.collect()  # what a failed step leaves in cycles may be gigabytes
                self.setting.free()
        return steps

    def _may_be_timed(self, name: str, provider: Provider | Ours, step: Step, inputs: Inputs, truth: _Truth) -> bool:
        row, clear = self.rows[name], _clearing(inputs)
        clear()
        row |= truth.errors(step(), inputs)
        if isinstance(provider, Ours):
            failures = truth.judge(provider, step, inputs).failures
            if failures:
                row["wrong"] = failures[0]
                return False
        if name != BOUND:  # which writes into memory that it holds
            row["peak_mib"] = timing.peak_mib(self.setting, step, clear)
        return True

    def _failed(self, name: str, error: Exception) -> None:
        description = describe(error)
        self.rows[name] |= {"error": description["sentence"], "traceback": description["traceback"]}
        self.setting.synchronize()  # raises where the device is lost, which ends this process

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


class _Truth:
    """Float64 results of a case, and the gradients of the plain implementation in its dtype."""

    def __init__(self, case: GpuCase, setting: Setting, inputs: Inputs) -> None:
        self.case, self.setting = case, setting
        hidden_states, weight, self.targets = (tensor.detach() for tensor in inputs)
        ones = torch.ones_like(self.targets, dtype=torch.float32)
        head = Head(hidden_states, weight, weight[:, 0], self.targets, ones)
        if case.is_statistics:
            self.stats = reference_stats(head.double(), self.targets, has_bias=False)
            return
        names = ("hidden_states", "weight") if case.trains_head else ("hidden_states",)
        factor = ones / case.num_targets
        self.plain = reference_losses(head, names, factor, has_bias=False).gradients
        self.nll, self.gradients = reference_losses(head.double(), names, factor.double(), has_bias=False)

    def errors(self, result: Any, inputs: Inputs) -> dict[str, Any]:
        """How far a step's result, and the gradients that it left, are from the truth."""
        if result is None:
            return {}
        if not self.case.is_statistics:
            true_loss = self.nll.sum() / self.case.num_targets
            gradients = {name: relative_error(leaf.grad, self.gradients[name]) for name, leaf in self._leaves(inputs)}
            return {"loss_error_nats": abs(result.double() - true_loss).item(), "gradient_error": gradients}
        *floats, argmax = (self._of_targets(values) for values in result)
        *true_floats, true_argmax = (self._of_targets(values) for values in self.stats)
        worst = max((ours - true).abs().max().item() for ours, true in zip(floats, true_floats, strict=True))
        return {
            "loss_error_nats": worst,
            "argmax_agreement": (argmax == true_argmax).double().mean().item(),
        }

    def judge(self, provider: Ours, step: Step, inputs: Inputs) -> Findings:
        """The rules of the accuracy matrix at this very shape, for the gradients that the timed step left as well."""
        findings = Findings()
        if self.case.is_statistics:
            for value, true in zip(step()[:4], self.stats[:4], strict=True):
                findings.nats("statistics", value, true)
            return findings
        for name, leaf in self._leaves(inputs):
            findings.gradient(f"gradient of {name}", leaf.grad, self.gradients[name], self.plain[name])
        _, stats = provider.call(linear_cross_entropy, self.case, self.setting, inputs, return_stats=True)
        findings.nats("log_prob", stats.log_prob, -self.nll)
        return findings

    def _leaves(self, inputs: Inputs) -> list[tuple[str, Tensor]]:
        leaves = zip(("hidden_states", "weight"), inputs[:2], strict=True)
        return [(name, leaf) for name, leaf in leaves if name in self.gradients]

    def _of_targets(self, values: Tensor) -> Tensor:
        """Of rows that are not ignored: some providers return only those, some fill the others with something."""
        return values if values.shape[0] == self.case.num_targets else values[self.targets != -100]


def _clearing(inputs: Inputs) -> Callable[[], None]:
    def clear() -> None:
        for leaf in inputs[:2]:
            leaf.grad = None

    return clear
