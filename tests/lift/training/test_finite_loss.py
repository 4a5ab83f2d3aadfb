"""A loss that is not finite stops the run."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import TrainerCallback

from lift import LiftError
from lift.training.finite_loss import FiniteLoss
from tests.lift.support.trainers import (
    make_trainer,
    weights,
)


@pytest.mark.parametrize("method", ["lift3", "gift"])
def test_a_loss_that_is_not_finite_stops_before_the_weights_change(tmp_path, method):
    class Poison(TrainerCallback):
        def on_step_begin(self, args, state, control, model=None, **kwargs):
            if state.global_step == 2:
                with torch.no_grad():
                    model.decoder.bias[3] = float("nan")
                Poison.before = weights(model)

    trainer = make_trainer(tmp_path, callbacks=[Poison()], method=method)
    with pytest.raises(LiftError, match="the loss is nan by step 3, so training stopped: lower learning_rate"):
        trainer.train()
    assert all(
        torch.equal(a, b) for a, b in zip(Poison.before, weights(trainer.model), strict=True) if a.isfinite().all()
    )


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_on_a_cpu_a_loss_is_looked_at_once(tmp_path, loss):
    finite_loss = FiniteLoss(torch.device("cpu"), tmp_path)
    finite_loss.watch(torch.tensor(1.0), 1)
    finite_loss.check(1)
    with pytest.raises(LiftError, match=f"the loss is {loss} by step 7, so training stopped"):
        finite_loss.watch(torch.tensor(loss), 7)


def test_a_checkpoint_is_named_where_there_is_one(tmp_path):
    finite_loss = FiniteLoss(torch.device("cpu"), tmp_path)
    with pytest.raises(LiftError, match=r"or look for broken weights or data\.$"):
        finite_loss.watch(torch.tensor(math.nan), 7)
    (tmp_path / "checkpoint-5").mkdir()
    (tmp_path / "checkpoint-5" / "trainer_state.json").write_text("{}")
    (tmp_path / "checkpoint-6").mkdir()  # torn
    with pytest.raises(LiftError, match=rf"data; the last checkpoint, {tmp_path / 'checkpoint-5'}, is intact\.$"):
        finite_loss.watch(torch.tensor(math.nan), 7)


def test_elsewhere_a_loss_is_looked_at_when_asked_and_none_is_forgotten(tmp_path):
    def on_accelerator(loss: float) -> Any:
        return SimpleNamespace(device=SimpleNamespace(type="cuda"), detach=lambda: torch.tensor(loss))

    finite_loss = FiniteLoss(torch.device("cpu"), tmp_path)
    finite_loss.watch(on_accelerator(2.0), 1)
    finite_loss.check(2)
    finite_loss.watch(on_accelerator(math.nan), 2)
    finite_loss.watch(on_accelerator(2.0), 3)
    for _ in range(2):
        with pytest.raises(LiftError, match="the loss is nan by step 4"):
            finite_loss.check(4)
