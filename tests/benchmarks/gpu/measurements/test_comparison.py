from __future__ import annotations

import math

import pytest
import torch

from benchmarks.gpu.measurements import comparison
from benchmarks.gpu.measurements.comparison import BOUND, OWN, OWN_TORCH, compare
from benchmarks.gpu.measurements.measurement import Session
from benchmarks.gpu.measurements.shapes import Shape
from benchmarks.rivals.rival import Rival
from lift_kernels import linear_cross_entropy
from lift_kernels.fallback import brgemm, mkl
from tests.benchmarks.support import SMOKE

SHAPE = Shape(8, 16, 72)


@pytest.fixture(autouse=True)
def without_unseen_products(monkeypatch):
    """Those that torch's counter does not see; on a GPU there are none."""
    for unseen in (mkl, brgemm):
        monkeypatch.setattr(unseen, "is_available", lambda: False)


@pytest.mark.parametrize("trained", [False, True])
def test_a_step_has_its_share_of_the_bound_and_its_errors(trained):
    outcome = compare(Session(SMOKE), SHAPE, trained=trained, labels=(OWN,))
    rows = outcome.times
    assert rows.keys() == {BOUND, OWN} and outcome.own.keys() == {OWN}
    assert rows[OWN]["% of bound"] == pytest.approx(100 * rows[BOUND]["median_ms"] / rows[OWN]["median_ms"])
    assert rows[OWN]["loss error nats"] < 1e-6 and rows[OWN]["dX error"] < 4e-3
    assert ("dW error" in rows[OWN]) == trained and "wrong" not in rows[OWN]
    counts = outcome.numbers["products"].items()  # "MxKxN": how many
    assert sum(math.prod(map(int, size.split("x"))) * n for size, n in counts) == (3 if trained else 2) * 8 * 16 * 72


def test_wrong_results_are_timed_and_marked(monkeypatch):
    def scaled(hidden_states, *args, **options):
        hidden_states.register_hook(lambda gradient: gradient * 1.01)
        return linear_cross_entropy(hidden_states, *args, **options)

    monkeypatch.setattr(comparison, "linear_cross_entropy", scaled)
    row = compare(Session(SMOKE), SHAPE, trained=False, labels=(OWN_TORCH,)).times[OWN_TORCH]
    assert row["median_ms"] > 0 and row["wrong"].startswith("dX error is")


def test_a_rival_that_raises_or_crashed_before_leaves_the_others(monkeypatch):
    def raises(*inputs):
        raise RuntimeError("no such kernel\nmore")

    rivals = {
        "bad": Rival(raises, "torch", ("torch",), on_cpu=True), "absent": Rival(raises, "none", ("no_such_package",)),
        "fatal": Rival(raises, "torch", ("torch",), on_cpu=True),
        "good": Rival(lambda h, w, t: torch.nn.functional.cross_entropy(h @ w.T, t), "torch", ("torch",), on_cpu=True),
    }  # fmt: skip
    monkeypatch.setattr(comparison, "RIVALS", rivals)
    told = []
    session = Session(SMOKE, ("fatal",), told.append)
    rows = compare(session, SHAPE, trained=True, labels=(OWN, *rivals)).times
    assert rows["bad"]["error"] == "RuntimeError: no such kernel" and "absent" not in rows
    assert "ended before" in rows["fatal"]["error"] and "fatal" not in told
    assert rows["good"]["median_ms"] > 0 and "wrong" not in rows["good"]
