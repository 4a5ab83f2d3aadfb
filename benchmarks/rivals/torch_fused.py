"""torch's own F.linear_cross_entropy (2.13): by its definition, and in chunks as its options choose by themselves."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from benchmarks.rivals.rival import Rival


def default(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return _function()(hidden_states, weight, targets)


def default_of_tokens(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return _function()(hidden_states, weight, targets, reduction="none")


def auto(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    from torch.nn import LinearCrossEntropyOptions

    return _function()(hidden_states, weight, targets, options=LinearCrossEntropyOptions())


def _function() -> Any:
    return F.linear_cross_entropy


_MODULES = ("torch.nn.functional",)
RIVALS = {
    "F.linear_cross_entropy": Rival(
        default, "torch", _MODULES, "linear_cross_entropy", on_cpu=True, token_losses=default_of_tokens
    ),
    "F.linear_cross_entropy, auto": Rival(auto, "torch", _MODULES, "linear_cross_entropy", on_cpu=True),
}
