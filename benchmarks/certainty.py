"""`python -m benchmarks.certainty`: how a token's loss and gradient keep their digits as its probability nears 1.

One token before V = 1000 entries, in float32, against 40 digits: this package's backends, the Triton one under the
interpreter where there is no GPU, and the logits by torch's own functions. A row for each 1 - p.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import mpmath
import torch
from torch import Tensor

from benchmarks.rivals.plain_logits import PLAIN, float32_logits

VOCAB_SIZE, DIGITS = 1000, 40
Loss = Callable[..., Any]  # hidden_states (1, 1), weight (V, 1), targets (1,) -> a 0-d tensor


def main() -> None:
    """Run the command."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        os.environ.setdefault("TRITON_INTERPRET", "1")
    from lift_kernels import linear_cross_entropy

    losses: dict[str, Loss] = {
        "PyTorch": partial(linear_cross_entropy, backend="torch"),
        "Triton": partial(linear_cross_entropy, backend="triton"),
        PLAIN: float32_logits,
    }
    print("| 1 - p |" + "".join(f" {name}: loss, gradient |" for name in losses))
    print("|---|" + "---|" * len(losses))
    for exponent in range(3, 13):
        errors = (relative_errors(loss, exponent, device) for loss in losses.values())
        print(f"| 1e-{exponent} |" + "".join(f" {of_loss:.0e}, {of_gradient:.0e} |" for of_loss, of_gradient in errors))


def relative_errors(loss: Loss, exponent: int, device: torch.device) -> tuple[float, float]:
    """Return those of the loss and of its gradient for the hidden state, of a token with 1 - p near 10^-exponent."""
    weight = head()
    hidden = hidden_state(weight, exponent)
    true_loss, true_gradient, _ = exact(hidden, weight)
    leaf = torch.tensor([[hidden]], device=device, requires_grad=True)
    found = loss(leaf, weight.to(device), torch.zeros(1, dtype=torch.long, device=device))
    found.backward()
    assert leaf.grad is not None
    pairs = ((found.item(), true_loss), (leaf.grad.item(), true_gradient))
    of_loss, of_gradient = (float(abs(mpmath.mpf(ours) - true) / abs(true)) for ours, true in pairs)
    return of_loss, of_gradient


def head() -> Tensor:
    """Return a weight (V, 1): the target's entry is 1, the others lie in [-1, 0]."""
    others = torch.rand(VOCAB_SIZE - 1, 1, generator=torch.Generator().manual_seed(0))
    return torch.cat([torch.ones(1, 1), -others])


def hidden_state(weight: Tensor, exponent: int) -> float:
    """Return the float32 number whose target has 1 - p near 10^-exponent."""
    low, high = 1.0, 60.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if exact(middle, weight)[2] > mpmath.mpf(10) ** -exponent else (low, middle)
    return torch.tensor(high).item()


def exact(hidden: float, weight: Tensor) -> tuple[mpmath.mpf, mpmath.mpf, mpmath.mpf]:
    """Return loss, its gradient for the hidden state, and 1 - p of the target, of numbers taken as they are."""
    with mpmath.workdps(DIGITS):
        entries = [mpmath.mpf(entry) for entry in weight[:, 0].tolist()]
        ratios = [mpmath.exp(mpmath.mpf(hidden) * (entry - entries[0])) for entry in entries[1:]]
        others = mpmath.fsum(ratios)
        pull = mpmath.fsum(r * (entry - entries[0]) for r, entry in zip(ratios, entries[1:], strict=True))
        return mpmath.log1p(others), pull / (1 + others), others / (1 + others)


if __name__ == "__main__":
    main()
