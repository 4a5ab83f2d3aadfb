"""Apple's cut-cross-entropy: its default, which leaves out small gradients, and its preset that leaves out none.

On a CPU it takes all logits by torch.compile, as it does by itself on macOS. The 25.1.1 of the package index has no
presets: the second then leaves out no gradient, but sums in the dtype of the inputs.
"""

from __future__ import annotations

import importlib.util
from typing import Any

from torch import Tensor

from benchmarks.rivals.rival import Rival


def default(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return _call(hidden_states, weight, targets, _default_options(hidden_states))


def default_of_tokens(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return _call(hidden_states, weight, targets, _default_options(hidden_states) | {"reduction": "none"})


def exact(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """No gradient left out, and where there are presets sums in float32."""
    has_presets = importlib.util.find_spec("cut_cross_entropy.cce_utils") is not None
    return _call(hidden_states, weight, targets, {"impl": "cce_exact"} if has_presets else {"filter_eps": None})


def _default_options(hidden_states: Tensor) -> dict[str, Any]:
    return {} if hidden_states.is_cuda else {"impl": "torch_compile"}


def _call(hidden_states: Tensor, weight: Tensor, targets: Tensor, options: dict[str, Any]) -> Tensor:
    from cut_cross_entropy import linear_cross_entropy

    return linear_cross_entropy(hidden_states, weight, targets, **options)


_MODULES = ("cut_cross_entropy",)
RIVALS = {
    "cut-cross-entropy": Rival(
        default, "cut-cross-entropy", _MODULES, "linear_cross_entropy", on_cpu=True, least_capability=(8, 0),
        token_losses=default_of_tokens,
    ),
    "cut-cross-entropy, exact": Rival(
        exact, "cut-cross-entropy", _MODULES, "linear_cross_entropy", least_capability=(8, 0)
    ),
}  # fmt: skip
