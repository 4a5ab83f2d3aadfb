from __future__ import annotations

import pytest
import torch

from benchmarks.harness.timing import rounds_that_fit
from benchmarks.ops.cases import CASES
from benchmarks.ops.comparison import Comparison
from benchmarks.ops.own_providers import LiftKernels
from benchmarks.ops.provider import Baseline
from benchmarks.ops.providers import PROVIDERS
from tests.benchmarks.support import GREEN, SMOKE, SMOKE_KERNELS


def compare(kind: str, gates: dict[str, str] | None = GREEN, **options) -> dict[str, dict]:
    record = Comparison(CASES[f"smoke-{kind}"], SMOKE, gates, rounds_that_fit(0.01), **options).run()
    return {row["provider"]: row for row in record["providers"]}


def test_what_was_not_checked_is_not_timed():
    rows = compare("stats", {"minimal": "green"})
    assert rows["lift_kernels"] == {"provider": "lift_kernels", "withheld": "its accuracy gate is not green"}
    assert rows["lift_kernels, 32 MiB"]["median_ms"] > 0


def test_a_provider_that_raises_stops_no_other(monkeypatch):
    def raises(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB\nand more")

    provider = Baseline(lambda *_: raises)
    monkeypatch.setitem(PROVIDERS, "logits in float32", provider)
    seen = []
    rows = compare("frozen", skip=("quack",), announce=seen.append)
    assert rows["logits in float32"]["error"] == "OutOfMemoryError: CUDA out of memory. Tried to allocate 9 GiB"
    assert "raises" in rows["logits in float32"]["traceback"]
    assert rows["lift_kernels"]["median_ms"] > 0 and "crashed before" in rows["quack"]["error"]
    assert seen[0] == "bare matrix products" and "quack" not in seen and seen[-1] == "the timed rounds"


@pytest.mark.parametrize("kind", ["frozen", "trained", "stats"])
def test_ours_must_be_right_at_the_timed_shape_itself(monkeypatch, kind):
    """The matrix may be green and the timed shape still wrong."""

    def wrong_call(self, op, case, inputs, config, **options):
        hidden_states, weight, targets = inputs
        return op(hidden_states, weight.flip(0), targets, num_targets=case.num_targets, **options)

    monkeypatch.setattr(LiftKernels, "call", wrong_call)
    rows = compare(kind)
    for name in ("lift_kernels", "lift_kernels, 32 MiB", "lift_kernels, torch backend"):
        assert "median_ms" not in rows[name] and rows[name]["wrong"]
        assert rows[name]["loss_error_nats"] > 1e-3


def test_losses_of_each_token_count_where_the_gradients_are_right(monkeypatch):
    real = LiftKernels.call

    def off_by_a_little(self, *arguments, return_stats=False, **options):
        result = real(self, *arguments, return_stats=return_stats, **options)
        return (result[0], result[1]._replace(log_prob=result[1].log_prob + 1e-3)) if return_stats else result

    monkeypatch.setattr(LiftKernels, "call", off_by_a_little)
    assert compare("frozen")["lift_kernels"]["wrong"].startswith("log_prob: off by")


@pytest.mark.parametrize("kind", ["frozen", "trained", "stats"])
def test_the_kernels_themselves_go_through_a_timed_case(kind):
    case = CASES[f"smoke-sequence-{kind}"]
    record = Comparison(case, SMOKE_KERNELS, GREEN, rounds_that_fit(0.01)).run()
    rows = {row["provider"]: row for row in record["providers"]}
    for name in ("lift_kernels", "lift_kernels, 32 MiB"):
        assert rows[name].get("rounds", 0) >= 5, rows[name]


def test_without_an_accuracy_matrix_the_case_itself_is_the_gate():
    rows = compare("stats", None)
    assert rows["lift_kernels"]["median_ms"] > 0 and rows["lift_kernels, 32 MiB"]["median_ms"] > 0
    assert rows["bare matrix products"]["percent_of_bound"] == 100


def test_what_is_missing_has_a_row_that_says_why(monkeypatch):
    monkeypatch.setitem(PROVIDERS, "quack", Baseline(lambda *_: None, find_missing=lambda config: "not installed"))
    assert compare("frozen")["quack"] == {"provider": "quack", "missing": "not installed"}


def test_the_peak_is_of_a_step_that_starts_without_gradients(monkeypatch):
    peaks, seen = {"lift_kernels": 3 << 20}, []

    def measure_peak(name, case, step, config):
        seen.append(name)
        assert step is not None
        return peaks.get(name)

    rows = compare("frozen", measure_peak=measure_peak)
    assert rows["lift_kernels"]["peak_mib"] == 3.0 and rows["logits in float32"]["peak_mib"] is None
    assert "bare matrix products" not in seen and "peak_mib" not in rows["bare matrix products"]
