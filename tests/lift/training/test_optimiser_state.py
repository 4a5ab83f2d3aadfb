"""The bytes of an optimiser's state, beside those of a step that was taken."""

from __future__ import annotations

import pytest
import torch

from lift.training.optimiser_state import optimiser_bytes
from tests.lift.support.tiny import tiny_config, tiny_model
from tests.lift.support.trainers import trainer_of_uneven_rows


@pytest.mark.parametrize("optim", ["adamw_torch", "adamw_torch_fused", "sgd", "adafactor", "adagrad", "rmsprop"])
def test_the_state_is_that_after_a_step(tmp_path, optim):
    trainer = trainer_of_uneven_rows(tmp_path, optim=optim, max_steps=1)
    trainer.model.head.dense.weight.requires_grad_(False)
    expected = optimiser_bytes(trainer.args, trainer.model)
    trainer.train()
    optimiser = getattr(trainer.optimizer, "optimizer", trainer.optimizer)
    state = [value for values in optimiser.state.values() for value in values.values()]
    assert expected == sum(value.nbytes for value in state if isinstance(value, torch.Tensor))


def test_half_precision_has_half_the_state(tmp_path):
    config = tiny_config(tmp_path)
    whole, half = (optimiser_bytes(config, tiny_model().to(dtype)) for dtype in (torch.float32, torch.bfloat16))
    num_steps = 4 * len(list(tiny_model().parameters()))  # a step count each, float32
    assert whole - num_steps == 2 * (half - num_steps) > 0


def test_an_optimiser_that_takes_no_step_here_is_taken_for_adam(tmp_path, caplog, monkeypatch):
    import logging

    config, model = tiny_config(tmp_path), tiny_model()
    caplog.set_level(logging.INFO, logger="lift")
    config.optim = "paged_adamw_8bit"
    monkeypatch.setattr(
        "lift.training.optimiser_state.Trainer.get_optimizer_cls_and_kwargs",
        lambda *_: (_ for _ in ()).throw(OSError("no")),
    )
    assert optimiser_bytes(config, model) == 2 * sum(p.numel() for p in model.parameters())
    assert "optim=paged_adamw_8bit is estimated as Adam's" in caplog.text
