from __future__ import annotations

from benchmarks.ops.cases import CASES
from benchmarks.ops.providers import BOUND, OWN, OWN_SMALL, PROVIDERS, is_own
from tests.benchmarks.support import ON_GPU


def names_for(case: str) -> set[str]:
    return {name for name, provider in PROVIDERS.items() if provider.takes(CASES[case])}


def test_the_statistics_pass_has_no_fused_rival():
    only_losses = {
        "F.linear_cross_entropy", "F.linear_cross_entropy, chunked", "liger-kernel", "cut-cross-entropy", "quack",
    }  # fmt: skip
    assert names_for("llada-8b-4096-frozen") - names_for("llada-8b-4096-stats") == only_losses


def test_one_table_serves_both_devices():
    small = {OWN_SMALL, "lift_kernels, torch backend"}
    assert names_for("llada-8b-sequence-frozen") - names_for("cpu-32k-frozen") == small | {
        "logits in float32, torch.compile"
    }
    assert "logits in float32, targets only" in names_for("cpu-32k-frozen") - names_for("llada-8b-4096-frozen")


def test_the_bound_comes_first_and_ours_are_known():
    assert list(PROVIDERS)[:2] == [BOUND, OWN]
    assert [name for name in PROVIDERS if is_own(name)] == [OWN, OWN_SMALL, "lift_kernels, torch backend"]
    assert all(PROVIDERS[name].missing(ON_GPU) is None for name in PROVIDERS if is_own(name))
