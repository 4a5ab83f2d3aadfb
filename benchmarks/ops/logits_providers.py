"""What the ops are compared with first: the bare matrix products, and the logits with torch's own functions."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.harness.run_config import RunConfig
from benchmarks.ops.cases import SEED, Case, Inputs, target_rows
from benchmarks.ops.provider import Step, backward
from benchmarks.sampling.published import from_logits
from lift_kernels import select_tokens


def matrix_products(case: Case, inputs: Inputs, config: RunConfig) -> Step:
    """The bound: the products of the rows that count, once each, into memory that is there already."""
    hidden_states, weight, targets = (tensor.detach() for tensor in inputs)
    rows = hidden_states[targets != -100]
    logits = rows.new_empty(rows.shape[0], case.vocab_size)
    trained, trained_logits = rows[: case.num_trained], logits[: case.num_trained]
    grad_rows = torch.empty_like(trained) if "hidden_states" in case.trained_leaves else None
    grad_weight = torch.empty_like(weight) if "weight" in case.trained_leaves else None

    def step() -> None:
        torch.mm(rows, weight.t(), out=logits)
        if grad_rows is not None:
            torch.mm(trained_logits, weight, out=grad_rows)
        if grad_weight is not None:
            torch.mm(trained_logits.t(), trained, out=grad_weight)

    return step


def published_sampler(case: Case, inputs: Inputs, config: RunConfig) -> Step:
    """Logits of the rows that have a target, and LLaDA's Gumbel noise in float64."""
    index = target_rows(inputs)
    return lambda: from_logits(F.linear(inputs.hidden_states[index], inputs.weight), temperature=1.0)


@dataclass(frozen=True)
class Logits:
    """All logits of all tokens, or of those with a target; LIFT in two passes, as published.

    Attributes:
        in_float32: the softmax; else in the dtype of the logits, which is off by more than 1 nat at V = 126464.
        of_targets: the rows that have a target are taken out first, and for LIFT's loss those that are kept.
        compiled: by torch.compile, anew for each shape.
    """

    in_float32: bool = True
    of_targets: bool = False
    compiled: bool = False

    def takes(self, case: Case) -> bool:
        if self.in_float32 and case.dtype == torch.float32:  # the same as without
            return False
        return (case.masked < 1 or not self.of_targets) and not (self.compiled and case.work == "lift")

    def missing(self, config: RunConfig) -> str | None:
        if not self.compiled:
            return None
        if config.is_smoke:
            return "torch.compile takes its seconds"
        return None if config.on_gpu or shutil.which("g++") else "torch.compile needs a C++ compiler"

    def prepare(self, case: Case, inputs: Inputs, config: RunConfig) -> Step:
        if case.work == "lift":
            return self._lift_step(case, inputs, config)
        index = target_rows(inputs) if self.of_targets else None
        targets = inputs.targets if index is None else inputs.targets[index]
        if case.work == "statistics":
            statistics = self._compile(self._statistics, config)
            return lambda: statistics(self._rows(inputs, index), inputs.weight, targets)
        if case.work == "sampling":
            draw = self._compile(self._draw, config)
            return lambda: draw(self._rows(inputs, index), inputs.weight)
        loss = self._compile(self._loss, config)
        return lambda: backward(loss(self._rows(inputs, index), inputs.weight, targets))

    def token_losses(self, case: Case, inputs: Inputs, config: RunConfig) -> Tensor:
        with torch.no_grad():
            logits = self._logits(inputs.hidden_states, inputs.weight)
            return F.cross_entropy(logits, inputs.targets, reduction="none").float()

    def _rows(self, inputs: Inputs, index: Tensor | None) -> Tensor:
        return inputs.hidden_states if index is None else inputs.hidden_states[index]

    def _logits(self, hidden_states: Tensor, weight: Tensor) -> Tensor:
        logits = F.linear(hidden_states, weight)
        return logits.float() if self.in_float32 else logits

    def _loss(self, hidden_states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(self._logits(hidden_states, weight), targets)

    def _statistics(self, hidden_states: Tensor, weight: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            logits = self._logits(hidden_states, weight)
            lse = logits.logsumexp(-1)
            log_probs = logits - lse[:, None]
            entropy = -(log_probs.exp() * log_probs).sum(-1)
            max_log_prob, argmax = log_probs.max(-1)
            log_prob = log_probs.gather(-1, targets.clamp(min=0)[:, None])[:, 0]
            return log_prob, lse, entropy, max_log_prob, argmax

    def _draw(self, hidden_states: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            probs = self._logits(hidden_states, weight).softmax(-1)
            token = torch.multinomial(probs, 1)
            return token[:, 0], probs.gather(-1, token)[:, 0].log()

    def _compile(self, function: Callable[..., Any], config: RunConfig) -> Callable[..., Any]:
        if not self.compiled:
            return function
        torch.compiler.reset()  # or the number of shapes seen makes it give up
        return torch.compile(function, dynamic=False)

    def _lift_step(self, case: Case, inputs: Inputs, config: RunConfig) -> Step:
        rows, shape = case.lift_rows(config.device), (case.num_rows, -1)
        is_masked, masked_index = inputs.targets != -100, target_rows(inputs)
        factor = (1 / rows.timestep).repeat_interleave(case.num_tokens // case.num_rows) / case.num_targets

        def step() -> Tensor:
            index = masked_index if self.of_targets else slice(None)
            targets = inputs.targets[index]
            with torch.no_grad():
                log_probs = self._logits(inputs.hidden_states[index], inputs.weight).log_softmax(-1)
                scores = torch.zeros(case.num_tokens, device=targets.device)
                scores[index] = log_probs.gather(-1, targets.clamp(min=0)[:, None])[:, 0].float()
                del log_probs
            is_kept = select_tokens(
                scores.view(shape), is_masked.view(shape), rows.num_keep, rows.order, seed=SEED
            ).flatten()  # fmt: skip
            index = is_kept.nonzero()[:, 0] if self.of_targets else slice(None)
            logits = self._logits(inputs.hidden_states[index], inputs.weight)
            kept_targets = inputs.targets.where(is_kept, -100)[index]
            losses = F.cross_entropy(logits, kept_targets, reduction="none")
            return backward((losses * factor[index]).sum())

        return step
