from __future__ import annotations

import pytest
import torch

from benchmarks.gpu.checks import lift_objective
from tests.benchmarks.support import HERE


@pytest.mark.parametrize("learnabilities", ["hard", "soft"])
@pytest.mark.parametrize("wrong", [None, "choice", "loss"])
def test_the_lift_objective_is_compared_in_all_its_parts(monkeypatch, learnabilities, wrong):
    real = lift_objective.lift_cross_entropy

    def lift(*args, **options):
        loss, stats, chosen = real(*args, **options)
        return loss * (1.001 if wrong == "loss" else 1), stats, chosen.flip(1) if wrong == "choice" else chosen

    monkeypatch.setattr(lift_objective, "lift_cross_entropy", lift)
    result = lift_objective.lift_objective(
        HERE, shape=(4, 9, 16, 300), dtype=torch.bfloat16, path="default", learnability=learnabilities
    )
    assert bool(result.failures) == (wrong is not None)
