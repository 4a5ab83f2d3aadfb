from __future__ import annotations

import pytest
import torch
from accelerate.state import GradientState

from benchmarks.models.families import Sizes
from benchmarks.training import objective_memory
from benchmarks.training.objective_memory import MemoryStep, measure_here, measure_in_a_process
from benchmarks.training.objectives import OBJECTIVES


def step(name: str, **more) -> MemoryStep:
    return MemoryStep(OBJECTIVES[name], Sizes.smoke(), torch.get_num_threads(), **more)


@pytest.fixture
def without_memory(monkeypatch):
    """Losses only: the peak of a process with a past means nothing."""
    monkeypatch.setattr(objective_memory, "resident_peak_of", lambda run: (run(), 3 << 20))


def test_a_step_survives_json():
    original = step("lift3", by_logits=True)
    assert MemoryStep.from_json(original.to_json()) == original


def test_the_loss_of_sft_is_that_of_its_logits(without_memory):
    fused, by_logits = measure_here(step("sft")), measure_here(step("sft", by_logits=True))
    assert fused["loss"] == pytest.approx(by_logits["loss"], rel=1e-5) and fused["peak_mib"] == 3.0


class Loader:
    """As accelerate sees one that has dealt out an epoch's last rows, of which one is not repeated."""

    end_of_dataloader, remainder = True, 1


def test_a_loader_that_was_left_in_the_middle_changes_no_loss(without_memory):
    expected = measure_here(step("sft"))["loss"]
    left = Loader()
    state = GradientState()
    state._add_dataloader(left)
    try:
        assert measure_here(step("sft"))["loss"] == expected
    finally:
        state._remove_dataloader(left)


def test_objectives_differ_in_their_losses(without_memory):
    assert len({measure_here(step(name))["loss"] for name in ("sft", "mirror", "gift", "sft, blocks")}) == 4


def test_a_process_that_fails_says_why():
    with pytest.raises(RuntimeError, match="no_such_field"):
        measure_in_a_process(MemoryStep({"method": "sft", "no_such_field": 1}, Sizes.smoke(), 1))
