"""Liger-Kernel: its Triton implementation, and the CuTe DSL one for Hopper (0.8.5).

From 0.8.5 on the Triton function may hand its softmax to CuTe DSL where that is installed; here it is told not to. The
one for Hopper takes rows and vocabularies in multiples of its tiles, 128 and 256.
"""

from __future__ import annotations

from torch import Tensor

from benchmarks.rivals.rival import IGNORED, Rival, padded_rows

_TILE_ROWS = 128
# bias, class weights, ignored target, z-loss, smoothing, reduction, softcap, z-loss returned, accumulation dtype,
# token scaling, accuracy returned, predictions returned
_DEFAULTS = (None, None, IGNORED, 0.0, 0.0, "mean", None, False, None, False, False, False)


def triton(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    from liger_kernel.ops.fused_linear_cross_entropy import LigerFusedLinearCrossEntropyFunction as Function

    is_told = getattr(Function, "supports_inner_impl_dispatch", False)
    result = Function.apply(hidden_states, weight, targets, *_DEFAULTS, *(("nvidia-triton", None) if is_told else ()))
    return result[0] if isinstance(result, tuple) else result


def cute(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    from liger_kernel.ops.cutedsl.ops.fused_linear_cross_entropy_sm90 import LigerFusedLinearCrossEntropySM90Function

    rows, row_targets = padded_rows(hidden_states, targets, _TILE_ROWS)
    return LigerFusedLinearCrossEntropySM90Function.apply(rows, weight, row_targets)


RIVALS = {
    "liger, triton": Rival(
        triton, "liger-kernel", ("liger_kernel.ops.fused_linear_cross_entropy",),
        "LigerFusedLinearCrossEntropyFunction", least_capability=(8, 0),
    ),
    "liger, cute": Rival(
        cute, "liger-kernel", ("liger_kernel.ops.cutedsl.ops.fused_linear_cross_entropy_sm90",),
        "LigerFusedLinearCrossEntropySM90Function", least_capability=(9, 0), only_capability=(9, 0),
    ),
}  # fmt: skip
