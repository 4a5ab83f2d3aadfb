"""The implementations under test: each returns the mean loss and leaves the gradients on the leaves."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from lift_kernels import linear_cross_entropy

Step = Callable[[Tensor, Tensor, Tensor], Tensor | None]


def ours(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return _backward(linear_cross_entropy(hidden_states, weight, targets))


def logits_and_cross_entropy(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    # In float32: cross_entropy on bfloat16 logits is wrong by more than 1 nat at V = 126464 on a CPU.
    return _backward(F.cross_entropy(F.linear(hidden_states, weight).float(), targets))


def torch_linear_cross_entropy(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return _backward(F.linear_cross_entropy(hidden_states, weight, targets))


def torch_linear_cross_entropy_chunked(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    from torch.nn import LinearCrossEntropyOptions

    return _backward(F.linear_cross_entropy(hidden_states, weight, targets, options=LinearCrossEntropyOptions()))


def cut_cross_entropy(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    from cut_cross_entropy import linear_cross_entropy as cce

    return _backward(cce(hidden_states, weight, targets, impl="torch_compile"))


def matrix_products(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> None:
    """The bound: the products of the rows that are not ignored, and nothing between them."""
    rows = hidden_states.detach()[targets != -100]
    logits = rows @ weight.detach().T
    logits @ weight.detach()
    if weight.requires_grad:
        logits.T @ rows


PROVIDERS: dict[str, Step] = {
    "lift_kernels (torch backend)": ours,
    "logits + F.cross_entropy": logits_and_cross_entropy,
    "F.linear_cross_entropy": torch_linear_cross_entropy,
    "F.linear_cross_entropy, chunked": torch_linear_cross_entropy_chunked,
    "cut-cross-entropy (torch_compile)": cut_cross_entropy,
    "bare matrix products": matrix_products,
}


def _backward(loss: Tensor) -> Tensor:
    loss.backward()
    return loss.detach()


def missing(name: str) -> str | None:
    """Why a provider cannot run here, or None."""
    if PROVIDERS[name] is cut_cross_entropy and importlib.util.find_spec("cut_cross_entropy") is None:
        return "not installed"
    if name.startswith("F.linear") and not hasattr(F, "linear_cross_entropy"):
        return "needs torch >= 2.13"
    return None
