"""What the ops are compared with first: the bare matrix products, and the logits with torch's own functions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.harness.run_config import RunConfig
from benchmarks.ops.cases import Case, Inputs
from benchmarks.ops.provider import Step, backward


def matrix_products(case: Case, inputs: Inputs, config: RunConfig) -> Step:
    """The bound: the products of the rows that are not ignored into memory that is there already."""
    hidden_states, weight, targets = (tensor.detach() for tensor in inputs)
    rows = hidden_states[targets != -100]
    logits = rows.new_empty(rows.shape[0], case.vocab_size)
    grad_rows, grad_weight = torch.empty_like(rows), torch.empty_like(weight) if case.trains_head else None

    def step() -> None:
        torch.mm(rows, weight.t(), out=logits)
        if not case.is_statistics:
            torch.mm(logits, weight, out=grad_rows)
        if grad_weight is not None:
            torch.mm(logits.t(), rows, out=grad_weight)

    return step


def float32_logits(case: Case, inputs: Inputs, config: RunConfig) -> Step:
    """All logits. In float32: cross_entropy on bfloat16 logits is off by more than 1 nat at V = 126464 on a CPU."""
    function = _statistics if case.is_statistics else _loss
    return lambda: _finish(case, function(*inputs))


def float32_logits_of_targets(case: Case, inputs: Inputs, config: RunConfig) -> Step:
    """The logits of the rows that have a target."""
    hidden_states, weight, targets = inputs
    index = (targets != -100).nonzero()[:, 0]  # as a collator knows it, so not timed
    gathered = targets[index]
    function = _statistics if case.is_statistics else _loss
    return lambda: _finish(case, function(hidden_states[index], weight, gathered))


def compiled_float32_logits(case: Case, inputs: Inputs, config: RunConfig) -> Step:
    """All logits, by torch.compile."""
    torch.compiler.reset()  # or the number of shapes seen makes it give up
    function = torch.compile(
        _statistics if case.is_statistics else _loss, dynamic=False, backend="inductor" if config.on_gpu else "eager"
    )
    return lambda: _finish(case, function(*inputs))


def _loss(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(hidden_states, weight).float(), targets)


def _statistics(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
    with torch.no_grad():
        logits = F.linear(hidden_states, weight).float()
        lse = logits.logsumexp(-1)
        log_probs = logits - lse[:, None]
        entropy = -(log_probs.exp() * log_probs).sum(-1)
        max_log_prob, argmax = log_probs.max(-1)
        log_prob = log_probs.gather(-1, targets.clamp(min=0)[:, None])[:, 0]
        return log_prob, lse, entropy, max_log_prob, argmax


def _finish(case: Case, result: Any) -> Any:
    return result if case.is_statistics else backward(result)
