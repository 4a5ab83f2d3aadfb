"""A timed shape's results against float64, at the cost of one product: every loss, and some rows of each gradient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness.check_result import relative_error

_ROWS = 64  # of the hidden states' gradient, and of the weight's, that are compared
# Three roundings to bfloat16 on the way to a gradient (exponentials, scaled rows, result) are 2.9e-3. This finds wrong
# kernels, not lost digits: those are for the checks, which apply the rules of `lift_kernels.testing`.
_GRADIENT_LIMIT = 5e-3
_NATS_LIMIT = 2e-4  # 1e-4 + 1e-5 |z| for logits of deviation 1
_MOST_LOGITS = 1 << 26  # at a time: 512 MiB in float64


@dataclass(frozen=True)
class SpotCheck:
    """Float64 results for the mean loss of hidden states (N, D), weight (V, D) and targets (N,), none ignored."""

    loss: float
    log_prob: Tensor  # (N,)
    grad_hidden: Tensor  # (64, D): of the first rows
    grad_weight: Tensor  # (64, D): of rows spread over the vocabulary, some of them targets
    vocab_rows: Tensor  # (64,)

    @classmethod
    def of(cls, hidden_states: Tensor, weight: Tensor, targets: Tensor) -> SpotCheck:
        num_rows, vocab_size = len(targets), len(weight)
        wide = weight.detach().double()
        spread = torch.linspace(0, vocab_size - 1, _ROWS // 2, device=weight.device).long()
        vocab_rows = torch.cat([spread, targets[: _ROWS // 2]]).unique()
        log_probs, grad_hidden, grad_weight = [], None, torch.zeros_like(wide[vocab_rows])
        for rows in _row_chunks(num_rows, vocab_size):
            chunk = hidden_states[rows].detach().double()
            log_p = (chunk @ wide.T).log_softmax(-1)
            log_probs.append(log_p.gather(1, targets[rows, None])[:, 0])
            grad_logits = log_p.exp_()
            grad_logits[torch.arange(len(chunk), device=weight.device), targets[rows]] -= 1
            if grad_hidden is None:
                grad_hidden = grad_logits[:_ROWS] @ wide / num_rows
            grad_weight += grad_logits[:, vocab_rows].T @ chunk / num_rows
        log_prob = torch.cat(log_probs)
        assert grad_hidden is not None
        return cls(-log_prob.mean().item(), log_prob, grad_hidden, grad_weight, vocab_rows)

    def errors(self, loss: Tensor, grad_hidden: Tensor | None, grad_weight: Tensor | None) -> dict[str, Any]:
        """Return nats of the mean loss, and relative root mean square errors of the gradients given."""
        errors: dict[str, Any] = {"loss error nats": abs(loss.double().item() - self.loss)}
        if grad_hidden is not None:
            errors["dX error"] = relative_error(grad_hidden[: len(self.grad_hidden)], self.grad_hidden)
        if grad_weight is not None:
            errors["dW error"] = relative_error(grad_weight[self.vocab_rows], self.grad_weight)
        return errors

    def nats(self, log_prob: Tensor) -> float:
        """Return the largest error of a token's log-probability (N,)."""
        return (log_prob.double() - self.log_prob).abs().max().item()


def complaint(errors: dict[str, Any]) -> str | None:
    """Return what of `SpotCheck.errors` is too large for a right kernel, or None. A nan is too large."""
    for name, value in errors.items():
        limit = _NATS_LIMIT if name.endswith("nats") else _GRADIENT_LIMIT
        if not value <= limit:
            return f"{name} is {value:.2e}, allowed {limit:.0e}"
    return None


def _row_chunks(num_rows: int, vocab_size: int) -> Iterator[slice]:
    step = max(_ROWS, _MOST_LOGITS // vocab_size)
    return (slice(start, min(start + step, num_rows)) for start in range(0, num_rows, step))
