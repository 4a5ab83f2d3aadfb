"""The one table of providers: every implementation that is compared, by the name of its row."""

from __future__ import annotations

from functools import partial

from benchmarks.ops import fused_providers as fused
from benchmarks.ops import logits_providers as by_logits
from benchmarks.ops.own_providers import LiftKernels
from benchmarks.ops.provider import Baseline, Provider, is_loss

BOUND, OWN, OWN_SMALL = "bare matrix products", "lift_kernels", "lift_kernels, 32 MiB"
PROVIDERS: dict[str, Provider] = {
    BOUND: Baseline(by_logits.matrix_products),
    OWN: LiftKernels(gate_path="default"),
    # On a CPU the default's tiles are smaller still, and its backend is torch already.
    OWN_SMALL: LiftKernels(gate_path="minimal", workspace_bytes=32 << 20, suites_left_out=("cpu",)),
    "lift_kernels, torch backend": LiftKernels(gate_path=None, backend="torch", suites_left_out=("cpu",)),
    "logits in float32": Baseline(by_logits.float32_logits),
    "logits in float32, targets only": Baseline(by_logits.float32_logits_of_targets, lambda case: case.ignored > 0),
    "logits in float32, torch.compile": Baseline(by_logits.compiled_float32_logits, lambda case: case.compiles),
    "F.linear_cross_entropy": Baseline(fused.torch_fused, is_loss, fused.missing_torch_fused),
    "F.linear_cross_entropy, chunked": Baseline(fused.torch_fused_chunked, is_loss, fused.missing_torch_fused),
    "liger-kernel": Baseline(fused.liger, is_loss, partial(fused.missing_on_gpu, "liger_kernel")),
    "cut-cross-entropy": Baseline(fused.cut_cross_entropy, is_loss, fused.missing_cut_cross_entropy),
    "quack": Baseline(fused.quack, is_loss, partial(fused.missing_on_gpu, "quack")),
}


def is_own(name: str) -> bool:
    """Whether the row is of this package's ops."""
    return isinstance(PROVIDERS[name], LiftKernels)
