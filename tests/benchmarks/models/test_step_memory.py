from __future__ import annotations

import pytest
import torch

from benchmarks.models import step_memory
from benchmarks.models.families import Sizes
from benchmarks.models.step_memory import ModelStep, labels_for, measure_here, measure_in_a_process
from tests.doubles.checkpoint import write_checkpoint

SMOKE = Sizes.smoke()


def step(path: str, model: str = "bert", trains_head: bool = True, **more) -> ModelStep:
    return ModelStep(model, path, trains_head, SMOKE, torch.get_num_threads(), **more)


@pytest.fixture
def without_memory(monkeypatch):
    """Losses only: the peak of a process with a past means nothing."""
    monkeypatch.setattr(step_memory, "resident_peak_of", lambda run: (run(), 3 << 20))


def test_a_step_survives_json():
    original = step("patched", trust_remote_code=True)
    assert ModelStep.from_json(original.to_json()) == original


@pytest.mark.parametrize("family", ["llada", "dream"])
def test_a_checkpoint_with_code_of_its_own_gives_one_loss_both_ways(
    tmp_path, without_memory, remote_code_cache, family
):
    write_checkpoint(tmp_path, family)
    logits, patched = (
        measure_here(step(path, str(tmp_path), trust_remote_code=True)) for path in ("logits", "patched")
    )
    assert patched["loss"] == pytest.approx(logits["loss"], rel=1e-5) and logits["peak_mib"] == 3.0


@pytest.mark.parametrize("trains_head", [True, False])
def test_the_head_is_trained_or_frozen(monkeypatch, without_memory, trains_head):
    models, real = [], step_memory.build_model
    monkeypatch.setattr(step_memory, "build_model", lambda *given: models.append(real(*given)) or models[-1])
    measure_here(step("patched", trains_head=trains_head))
    head = models[0].cls.predictions.decoder
    assert (head.weight.grad is not None) == trains_head and models[0].bert.encoder.layer[
        0
    ].output.dense.weight.grad.any()


def test_labels_are_half_of_the_tokens_and_of_no_first_token_that_nothing_predicts():
    sizes = Sizes(vocab=10, rows=20, length=100)
    labels = labels_for(sizes, predicts_next=True)
    assert 0.45 < (labels != -100).double().mean() < 0.55 and (labels[:, 0] == -100).all()
    assert (labels_for(sizes, predicts_next=False)[:, 0] != -100).any()


def test_a_process_that_fails_says_why(tmp_path):
    with pytest.raises(RuntimeError, match="LiftError"):
        measure_in_a_process(step("logits", str(tmp_path)))
