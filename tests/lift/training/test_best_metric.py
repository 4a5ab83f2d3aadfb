"""What compares evaluations is checked before any is made."""

from __future__ import annotations

import pytest
from transformers import EarlyStoppingCallback, TrainerCallback

from lift import LiftError, LiftTrainer
from lift.tasks import sudoku
from tests.lift.support.tiny import tiny_config, tiny_model, tiny_rows

EACH_STEP = {"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1}


def make(tmp_path, *, eval_dataset=None, callbacks=(), trainer_class=LiftTrainer, **options) -> LiftTrainer:
    return trainer_class(
        model=tiny_model(), args=tiny_config(tmp_path, max_steps=2, **options), train_dataset=tiny_rows(),
        eval_dataset=tiny_rows(2) if eval_dataset is None else eval_dataset, callbacks=list(callbacks),
        processing_class=sudoku.build_tokenizer(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (EACH_STEP | {"metric_for_best_model": "accuracy"}, "=accuracy is not what the evaluation gives: .* eval_loss"),
        (EACH_STEP | {"metric_for_best_model": "eval_nll"}, "=eval_nll is not what the evaluation gives"),
        (EACH_STEP | {"metric_for_best_model": "loss", "greater_is_better": True}, "would take the highest eval_loss"),
        ({"save_strategy": "best", "metric_for_best_model": "loss"}, "^save_strategy=best needs evaluations"),
        ({"load_best_model_at_end": True}, "^load_best_model_at_end=True needs evaluations: set eval_strategy"),
        ({"metric_for_best_model": "loss"}, "^metric_for_best_model=loss needs evaluations"),
    ],
)
def test_what_no_evaluation_gives(tmp_path, options, sentence):
    with pytest.raises(LiftError, match=sentence):
        make(tmp_path, **options)


def test_of_several_evaluation_sets_one_is_named(tmp_path):
    two = {"easy": tiny_rows(2), "hard": tiny_rows(2)}
    with pytest.raises(
        LiftError, match="=loss is not what the evaluation gives: set it to eval_easy_loss or eval_hard"
    ):
        make(tmp_path, eval_dataset=two, load_best_model_at_end=True, **EACH_STEP)
    trainer = make(
        tmp_path, eval_dataset=two, metric_for_best_model="hard_loss", load_best_model_at_end=True, **EACH_STEP
    )
    trainer.train()
    assert trainer.state.best_metric == min(
        e["eval_hard_loss"] for e in trainer.state.log_history if "eval_hard_loss" in e
    )


def test_early_stopping_says_what_it_needs(tmp_path):
    stop = EarlyStoppingCallback()
    with pytest.raises(LiftError, match="EarlyStoppingCallback needs evaluations: set eval_strategy to steps or epoch"):
        make(tmp_path, callbacks=[stop])
    with pytest.raises(LiftError, match="EarlyStoppingCallback needs a metric: set metric_for_best_model=eval_loss"):
        make(tmp_path, callbacks=[stop], eval_strategy="steps", eval_steps=1)
    later = make(tmp_path)
    later.add_callback(stop)
    with pytest.raises(LiftError, match="EarlyStoppingCallback needs evaluations"):
        later.train()


def test_early_stopping_stops(tmp_path):
    stop = EarlyStoppingCallback(1, early_stopping_threshold=100.0)
    trainer = make(tmp_path, callbacks=[stop], metric_for_best_model="loss", load_best_model_at_end=True, **EACH_STEP)
    trainer.args.max_steps = 5
    trainer.train()
    assert trainer.state.global_step == 2  # no evaluation was better by 100 nats


class Accuracy(TrainerCallback):
    def on_evaluate(self, args, state, control, metrics, **kwargs):
        metrics["eval_accuracy"] = 1.0


class OwnEvaluation(LiftTrainer):
    def evaluate(self, *args, **kwargs):
        return super().evaluate(*args, **kwargs) | {"eval_accuracy": 1.0}


def test_a_metric_that_a_subclass_or_a_callback_adds_is_fine(tmp_path):
    options = EACH_STEP | {"metric_for_best_model": "accuracy", "greater_is_better": True}
    trainer = make(tmp_path, callbacks=[Accuracy()], **options)
    trainer.train()
    assert trainer.state.best_metric == 1.0
    assert make(tmp_path, trainer_class=OwnEvaluation, **options)
