"""How far a step's results are from float64 at the very shape that is timed, and whether that is near enough."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness.check_result import CheckResult, relative_error
from benchmarks.ops.cases import SEED, Case, Inputs
from benchmarks.ops.truth import logit_sizes, reference_losses, reference_ranks, reference_stats
from lift_kernels import reference
from lift_kernels.testing import Head


class CaseTruth:
    """Float64 results of a case, and the gradients of the plain implementation in its dtype."""

    def __init__(self, case: Case, inputs: Inputs) -> None:
        self.case, self.is_masked = case, inputs.targets != -100
        hidden_states, weight, targets = (tensor.detach() for tensor in inputs)
        ones = torch.ones_like(targets, dtype=torch.float32)
        head = Head(hidden_states, weight, weight[:, 0], targets, ones)
        double, self.logit_sizes = head.double(), logit_sizes(head, has_bias=False)
        if case.work == "statistics":
            self.stats = reference_stats(double, targets, has_bias=False)
        if case.work == "sampling":
            self.masked_head = replace(double, hidden_states=double.hidden_states[self.is_masked])
        if not case.trained_leaves:
            return
        factor = ones.double() / case.num_targets
        if case.work == "lift":
            factor *= self._learnability(reference_losses(double, (), factor, has_bias=False).nll)
        names = case.trained_leaves
        # Log-uniform weights over decades would say that a rounded gradient is wrong; these are all of one order.
        self.plain = reference_losses(head, names, factor.float(), has_bias=False).gradients
        self.nll, self.gradients = reference_losses(double, names, factor, has_bias=False)
        self.loss, self.loss_size = ((values * factor).sum() for values in (self.nll, self.logit_sizes.nll))

    def _learnability(self, nll: Tensor) -> Tensor:
        """1 / t where the token is kept, else 0, (N,)."""
        rows, shape = self.case.lift_rows(nll.device), (self.case.num_rows, -1)
        is_kept = reference.select_tokens(
            -nll.view(shape).cpu(), self.is_masked.view(shape).cpu(), rows.num_keep.cpu(), rows.order.cpu(), seed=SEED
        )
        return (is_kept.to(nll.device) / rows.timestep.double()[:, None]).flatten()

    def errors(self, result: Any, inputs: Inputs, token_losses: Tensor | None) -> tuple[dict[str, Any], str | None]:
        """Return errors by name, and the first reason why they are too large, or None.

        Args:
            result: what the step returned; it left its gradients on the inputs.
            inputs: of the step.
            token_losses: (N,) of the loss, or None where the provider does not tell them.
        """
        check = CheckResult()
        if self.case.work == "statistics":
            return self._errors_of_statistics(result, check), _first(check)
        if self.case.work == "sampling":
            token, log_prob = map(self._of_targets, result)
            return self._errors_of_draws(token, log_prob, check), _first(check)
        numbers: dict[str, Any] = {"mean_loss_error_nats": abs(result.double() - self.loss).item()}
        if token_losses is not None:
            ours, true, size = (values[self.is_masked] for values in (token_losses, self.nll, self.logit_sizes.nll))
            check.compare_nats("the loss of a token", ours, true, logit_size=size)
            numbers["token_loss_error_nats"] = _largest(ours, true)
        else:
            check.compare_nats("the mean loss", result, self.loss, logit_size=self.loss_size)
        for name, true in self.gradients.items():
            gradient = getattr(inputs, name).grad
            check.compare_gradient(f"the gradient of {name}", gradient, true, self.plain[name])
            numbers[f"{name}_gradient_error"] = relative_error(gradient, true)
        return numbers, _first(check)

    def _errors_of_statistics(self, result: Any, check: CheckResult) -> dict[str, Any]:
        *floats, argmax = (self._of_targets(values) for values in result[:5])
        *true_floats, true_argmax = (self._of_targets(values) for values in self.stats[:5])
        sizes = self.logit_sizes
        for name, ours, true in zip(("log_prob", "lse", "entropy", "max_log_prob"), floats, true_floats, strict=True):
            size = self._of_targets(sizes.nll if name == "log_prob" else sizes.largest)
            check.compare_nats(name, ours, true, logit_size=size)
        return {
            "token_loss_error_nats": _largest(floats[0], true_floats[0]),
            "statistics_error_nats": max(map(_largest, floats, true_floats)),
            "argmax_agreement": (argmax == true_argmax).double().mean().item(),
        }

    def _errors_of_draws(self, token: Tensor, log_prob: Tensor, check: CheckResult) -> dict[str, Any]:
        """Judge draws by the probability of what is likelier: were they fair, it is uniform on (0, 1), spread over p.

        That holds for any noise. The largest distance from the uniform distribution exceeds the limit for one fair
        sampler in a million (Dvoretzky, Kiefer and Wolfowitz; with the constant of Massart, 1990).
        """
        true, likelier = reference_ranks(self.masked_head, token)
        check.compare_nats("log_prob", log_prob, true, logit_size=2 * self.logit_sizes.largest[self.is_masked])
        spread = torch.rand(true.shape, generator=torch.Generator().manual_seed(SEED), dtype=true.dtype)
        ranks = (likelier + true.exp() * spread.to(true.device)).sort().values
        steps = torch.arange(len(ranks) + 1, dtype=true.dtype, device=true.device) / len(ranks)
        distance = torch.maximum(ranks - steps[:-1], steps[1:] - ranks).max().item()
        limit = math.sqrt(math.log(2 / 1e-6) / (2 * len(ranks)))
        check.expect("draws", distance <= limit, f"distributed {distance:.2f} away from softmax, more than {limit:.2f}")
        return {"token_loss_error_nats": _largest(log_prob, true), "draws_distance": distance}

    def _of_targets(self, values: Tensor) -> Tensor:
        """Of rows that have a target: some providers return only those."""
        return values if values.shape[0] == self.case.num_targets else values[self.is_masked]


def _largest(ours: Tensor, true: Tensor) -> float:
    return (ours.double() - true).abs().max().item()


def _first(check: CheckResult) -> str | None:
    return check.failures[0] if check.failures else None
