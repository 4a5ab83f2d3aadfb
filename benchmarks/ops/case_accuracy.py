"""How far a step's results are from float64 at the very shape that is timed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmarks.harness.check_result import CheckResult, relative_error
from benchmarks.harness.run_config import RunConfig
from benchmarks.ops.cases import Case, Inputs
from benchmarks.ops.own_providers import LiftKernels
from benchmarks.ops.provider import Step
from benchmarks.ops.truth import reference_losses, reference_stats
from lift_kernels import linear_cross_entropy
from lift_kernels.testing import Head


class CaseTruth:
    """Float64 results of a case, and the gradients of the plain implementation in its dtype. Takes gigabytes."""

    def __init__(self, case: Case, inputs: Inputs) -> None:
        self.case = case
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
        """Return how far a step's result, and the gradients that it left, are from the truth; nothing for None."""
        if result is None:
            return {}
        if not self.case.is_statistics:
            true_loss = self.nll.sum() / self.case.num_targets
            gradients = {
                name: relative_error(gradient, self.gradients[name]) for name, gradient in self._left_on(inputs).items()
            }
            return {"loss_error_nats": abs(result.double() - true_loss).item(), "gradient_error": gradients}
        *floats, argmax = (self._of_targets(values) for values in result)
        *true_floats, true_argmax = (self._of_targets(values) for values in self.stats)
        worst = max((ours - true).abs().max().item() for ours, true in zip(floats, true_floats, strict=True))
        return {"loss_error_nats": worst, "argmax_agreement": (argmax == true_argmax).double().mean().item()}

    def judge(self, provider: LiftKernels, step: Step, inputs: Inputs, config: RunConfig) -> CheckResult:
        """Apply the rules of the accuracy matrix, also to the gradients that the timed step left."""
        result = CheckResult()
        if self.case.is_statistics:
            for value, true in zip(step()[:4], self.stats[:4], strict=True):
                result.compare_nats("statistics", value, true)
            return result
        for name, gradient in self._left_on(inputs).items():
            result.compare_gradient(f"gradient of {name}", gradient, self.gradients[name], self.plain[name])
        _, stats = provider.call(linear_cross_entropy, self.case, inputs, config, return_stats=True)
        result.compare_nats("log_prob", stats.log_prob, -self.nll)
        return result

    def _left_on(self, inputs: Inputs) -> dict[str, Tensor]:
        """The gradients of the leaves that the case trains."""
        leaves = dict(zip(("hidden_states", "weight"), inputs[:2], strict=True))
        gradients = {name: leaves[name].grad for name in self.gradients}
        return {name: gradient for name, gradient in gradients.items() if gradient is not None}

    def _of_targets(self, values: Tensor) -> Tensor:
        """Of rows that are not ignored: some providers return only those, some fill the others with something."""
        return values if values.shape[0] == self.case.num_targets else values[self.targets != -100]
