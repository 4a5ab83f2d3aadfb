"""The bound of a whole step: what no implementation by dense products can do without, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def bound_step(hidden_states: Tensor, weight: Tensor, *, trained: bool) -> Callable[[], None]:
    """Return a step of the bare products, and of the one pass over the gradient that a backward cannot avoid.

    Logits, hidden states' gradient and a trained head's gradient are a product each, in bfloat16 into memory that is
    there already. The loss's own gradient is known in the backward pass only: it reads and writes the hidden states'
    gradient once. The head's gradient can be formed then, and needs no such pass.
    """
    hidden_states, weight = hidden_states.detach(), weight.detach()
    logits = hidden_states.new_empty(hidden_states.shape[0], weight.shape[0])
    grad_hidden, scaled = torch.empty_like(hidden_states), torch.empty_like(hidden_states)
    grad_weight = torch.empty_like(weight) if trained else None
    grad_loss = torch.ones((), device=weight.device)

    def step() -> None:
        torch.mm(hidden_states, weight.t(), out=logits)
        torch.mm(logits, weight, out=grad_hidden)
        torch.mul(grad_hidden, grad_loss, out=scaled)
        if grad_weight is not None:
            torch.mm(logits.t(), hidden_states, out=grad_weight)

    return step
