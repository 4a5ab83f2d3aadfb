"""Models that `model_init` makes anew."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import integrations

from lift import LiftError, LiftTrainer
from lift.tasks import sudoku
from tests.lift.support.labelled import watch_logits
from tests.lift.support.tiny import tiny_config, tiny_model, tiny_rows
from tests.lift.support.trainers import weights


def make(tmp_path, options=None, **given) -> LiftTrainer:
    return LiftTrainer(
        args=tiny_config(tmp_path, max_steps=2, **(options or {})), train_dataset=tiny_rows(), eval_dataset=tiny_rows(2),
        processing_class=sudoku.build_tokenizer(), **given,
    )  # fmt: skip


@pytest.mark.parametrize("options", [{}, {"score_source": "cache"}, {"gradient_checkpointing": True}], ids=str)
@pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated:FutureWarning")
def test_each_training_starts_with_a_new_model_and_without_logits(tmp_path, options):
    plain = make(tmp_path, options, model=tiny_model())
    plain.train()
    base = tiny_model()
    trainer = make(tmp_path, options, model_init=lambda: copy.deepcopy(base))
    for _ in range(2):
        before = trainer.model
        trainer.train()
        assert trainer.model is not before
        assert all(map(torch.equal, weights(trainer.model), weights(plain.model)))
    calls = watch_logits(trainer.model)
    assert trainer.evaluate() and not calls
    assert trainer.model.config.mask_token_id == sudoku.build_tokenizer().mask_token_id


def test_a_trial_sets_fields_which_are_checked(tmp_path, monkeypatch):
    trials = []

    def init(trial):
        trials.append(trial)
        return tiny_model()

    trainer = make(tmp_path, model_init=init)
    monkeypatch.setattr(
        integrations, "hp_params", lambda trial: trial.params
    )  # which knows the types of others' trials
    trainer.hp_search_backend, trainer.hp_space = "optuna", lambda trial: trial.params
    trial = type("Trial", (), {"params": {"min_rho": 0.2, "learning_rate": 0.5}, "number": 3})()
    trainer.train(trial=trial)
    assert (trainer.args.min_rho, trainer.args.learning_rate) == (0.2, 0.5)
    assert trials == [None, trial]
    trial.params = {"min_rho": 2.0}
    with pytest.raises(LiftError, match=r"min_rho must be at least 0 and below 1, got 2\.0"):
        trainer.train(trial=trial)


def test_what_does_not_go_with_it(tmp_path):
    model = tiny_model()
    with pytest.raises(LiftError, match="takes a model or model_init, not both"):
        make(tmp_path, model=model, model_init=lambda: tiny_model())
    with pytest.raises(LiftError, match="optimizers hold the weights of one model, and model_init makes others"):
        make(tmp_path, model_init=lambda: tiny_model(), optimizers=(torch.optim.SGD(model.parameters(), 0.1), None))
    with pytest.raises(LiftError, match="model_init must be a function of nothing, or of the trial"):
        make(tmp_path, model_init=lambda a, b: model)
    with pytest.raises(LiftError, match="needs a model, or model_init, got NoneType"):
        make(tmp_path, model_init=lambda: None)
    with pytest.raises(LiftError, match="needs a model, or model_init, got NoneType"):
        make(tmp_path)
