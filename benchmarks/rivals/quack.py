"""QuACK: the head in chunks of 4096 rows, CuTe DSL products and softmax; the head's last gradient in the backward.

`quack.linear_cross_entropy.chunked_linear_cross_entropy` (0.6): it takes rows in multiples of 8 and chooses between its
two pipelines by itself.
"""

from __future__ import annotations

from torch import Tensor

from benchmarks.rivals.rival import Rival, padded_rows

_ROW_MULTIPLE = 8


def chunked(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    from quack.linear_cross_entropy import chunked_linear_cross_entropy

    return chunked_linear_cross_entropy(*_arguments(hidden_states, weight, targets))


def chunked_plain(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Without the exponentials in the product's epilogue, which Hopper takes by itself."""
    from quack.linear_cross_entropy import chunked_linear_cross_entropy

    return chunked_linear_cross_entropy(*_arguments(hidden_states, weight, targets), use_scaled_exp=False)


def _arguments(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    rows, row_targets = padded_rows(hidden_states, targets, _ROW_MULTIPLE)
    return rows, weight, row_targets


_MODULES = ("quack.linear_cross_entropy",)
RIVALS = {
    "quack": Rival(chunked, "quack-kernels", _MODULES, "chunked_linear_cross_entropy", least_capability=(9, 0)),
    "quack, plain": Rival(
        chunked_plain, "quack-kernels", _MODULES, "scaled_exp_lce_supported", least_capability=(9, 0)
    ),
}
