"""The one table of providers: every implementation that is compared, by the name of its row."""

from __future__ import annotations

from itertools import product

from benchmarks.ops.cases import Work
from benchmarks.ops.logits_providers import Logits, matrix_products, published_sampler
from benchmarks.ops.own_providers import LiftKernels
from benchmarks.ops.provider import Baseline, Provider
from benchmarks.ops.rival_providers import RivalProvider
from benchmarks.rivals.table import PACKAGES

_SAMPLING: tuple[Work, ...] = ("sampling",)
BOUND, OWN = "bare matrix products", "lift_kernels"


def _logits_providers() -> dict[str, Provider]:
    providers: dict[str, Provider] = {}
    for compiled, in_float32, of_targets in product((False, True), repeat=3):
        words = (
            "logits in float32" if in_float32 else "logits",
            "of targets only" if of_targets else "",
            "torch.compile" if compiled else "",
        )
        providers[", ".join(filter(None, words))] = Logits(in_float32, of_targets, compiled)
    return providers


PROVIDERS: dict[str, Provider] = {
    BOUND: Baseline(matrix_products),
    OWN: LiftKernels(),
    "lift_kernels, two calls": LiftKernels(in_two_calls=True),
    # On a CPU the default's tiles are smaller still, and its backend is torch already.
    "lift_kernels, 32 MiB": LiftKernels(workspace_bytes=32 << 20, on_cpu=False),
    "lift_kernels, torch backend": LiftKernels(backend="torch", on_cpu=False),
    **_logits_providers(),
    "logits, of targets only, Gumbel noise in float64": Baseline(published_sampler, works=_SAMPLING),
    **{name: RivalProvider(rival) for name, rival in PACKAGES.items()},
}


def is_own(name: str) -> bool:
    """Whether the row is of this package's ops."""
    return isinstance(PROVIDERS[name], LiftKernels)
