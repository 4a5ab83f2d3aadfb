"""Going on from the checkpoint of the last step: no step, and what the uninterrupted run does after it."""

from __future__ import annotations

import pytest
import torch

from lift.errors import LiftError
from lift.training.checkpoints import step_of
from tests.lift.support.trainers import make_trainer, weights

NUM_STEPS = 3


def trainers(tmp_path, **options):
    """A run that has ended, and one that is to go on from its last checkpoint."""
    options = {"save_strategy": "steps", "save_steps": 1, "eval_strategy": "steps", "eval_steps": 1} | options
    whole = make_trainer(tmp_path, **options)
    whole.train()
    return whole, make_trainer(tmp_path, **options)


# An epoch of lift3 has 6 steps: within one, at its end, and with a length in epochs.
LENGTHS = [{"max_steps": 3}, {"max_steps": 6}, {"max_steps": -1, "num_train_epochs": 0.5}]


@pytest.mark.parametrize("length", LENGTHS, ids=str)
@pytest.mark.parametrize("method", ["lift3", "puma"])
def test_no_step_is_taken_and_all_is_as_after_the_last(tmp_path, length, method):
    whole, resumed = trainers(tmp_path, method=method, **length)
    asked: list[int] = []
    resumed.compute_loss = lambda *args, **kwargs: asked.append(1)
    checkpoint = tmp_path / f"checkpoint-{whole.state.global_step}"
    before = {path: path.stat().st_mtime_ns for path in checkpoint.iterdir()}
    result = resumed.finish(checkpoint)
    assert not asked and result.global_step == resumed.state.global_step == step_of(checkpoint)
    assert all(map(torch.equal, weights(resumed.model), weights(whole.model)))
    ours, theirs = resumed.state.log_history, whole.state.log_history
    assert ours[:-1] == theirs[:-1] and ours[-1]["step"] == theirs[-1]["step"]
    assert "train_loss" in theirs[-1] and "train_loss" not in ours[-1] and "train_runtime" in ours[-1]
    assert {path: path.stat().st_mtime_ns for path in checkpoint.iterdir()} == before  # a kill would have torn it
    assert resumed.evaluate()["eval_loss"] == whole.evaluate()["eval_loss"]


def test_the_best_model_is_gone_back_to(tmp_path):
    options = {"load_best_model_at_end": True, "max_steps": NUM_STEPS, "learning_rate": 10.0}  # each step is worse
    whole, resumed = trainers(tmp_path, **options)
    resumed.finish(tmp_path / f"checkpoint-{NUM_STEPS}")
    assert whole.state.best_model_checkpoint == str(tmp_path / "checkpoint-1")
    assert all(map(torch.equal, weights(resumed.model), weights(whole.model)))


def test_training_on_is_refused_as_ever_and_works_with_more_steps(tmp_path):
    _, resumed = trainers(tmp_path, max_steps=NUM_STEPS)
    resumed.finish(tmp_path / f"checkpoint-{NUM_STEPS}")
    with pytest.raises(LiftError, match="max_steps=3 leaves nothing to train"):
        resumed.train(str(tmp_path))
    resumed.args.max_steps = NUM_STEPS + 1
    assert resumed.train(str(tmp_path)).global_step == NUM_STEPS + 1
    assert "train_loss" in resumed.state.log_history[-1]
