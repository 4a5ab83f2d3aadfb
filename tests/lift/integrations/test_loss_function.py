"""`LiftLoss` in transformers' own Trainer and in TRL's, against LiftTrainer and against logits."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import Trainer, TrainingArguments

from lift import LiftError, LiftTrainer
from lift.integrations.loss_function import LiftLoss
from lift.objectives.options import LiftOptions
from lift.tasks import sudoku
from tests.lift.support.clean_rows import DENSITY
from tests.lift.support.labelled import (
    RUN,
    SPLITS,
    Shifted,
    assert_same_run,
    split,
    tiny_dream,
    watch_logits,
    weights,
    weights_of_lift_trainer,
)
from tests.lift.support.loss_function_trainer import make_trainer
from tests.lift.support.oracle import loss_by_description
from tests.lift.support.tiny import tiny_config, tiny_model, uneven_rows
from tests.transformers_version import needs_transformers_5


@pytest.mark.parametrize("pad_in_loss", [True, False])
@pytest.mark.parametrize("method", ["sft", "lift3"])
def test_loss_and_gradients_are_those_of_the_description(tmp_path, method, pad_in_loss):
    model = tiny_model()
    twin = copy.deepcopy(model).eval()
    trainer = make_trainer(tmp_path, LiftOptions(method=method, pad_in_loss=pad_in_loss), model)
    inputs = trainer.data_collator(list(trainer.train_dataset))
    assert inputs["attention_mask"].all() == pad_in_loss
    trainer.args.method = method
    truth, _ = loss_by_description(twin, inputs, trainer.args)
    loss = trainer.compute_loss(model.train(), dict(inputs), num_items_in_batch=(inputs["labels"] != -100).sum())
    torch.testing.assert_close(loss, truth, rtol=1e-5, atol=1e-5)
    loss.backward()
    truth.backward()
    for (name, ours), theirs in zip(model.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5, msg=name)


def test_a_model_that_predicts_the_next_token_never_masks_the_first(tmp_path):
    model = tiny_dream()
    twin = copy.deepcopy(model).eval()
    trainer = make_trainer(tmp_path, LiftOptions(method="lift3"), model)
    whole_rows = [row | {"labels": row["input_ids"]} for row in trainer.train_dataset]
    inputs = trainer.data_collator(whole_rows)
    assert inputs["maskable"].sum(1).tolist() == [inputs["maskable"].shape[1] - 1] * 24
    trainer.args.method = "lift3"
    truth, _ = loss_by_description(Shifted(twin), inputs, trainer.args)
    loss = trainer.compute_loss(model.train(), dict(inputs), num_items_in_batch=(inputs["labels"] != -100).sum())
    torch.testing.assert_close(loss, truth, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size_and_accumulation", SPLITS, ids=str)
def test_a_run_is_that_of_lift_trainer_however_its_steps_are_split(tmp_path, size_and_accumulation):
    options = {"method": "lift3", "pad_in_loss": False}
    trainer = make_trainer(tmp_path, LiftOptions(**options), **split(*size_and_accumulation))
    trainer.train()
    assert_same_run(weights(trainer.model), weights_of_lift_trainer(tmp_path, **options))


def test_padding_that_is_trained_needs_one_width_for_a_step_not_to_depend_on_its_split(tmp_path, caplog):
    whole = weights_of_lift_trainer(tmp_path, pad_to="max_length", max_length=24)
    trainer = make_trainer(tmp_path, LiftOptions(), max_length=24, **split(2, 2))
    trainer.train()
    assert_same_run(weights(trainer.model), whole)
    make_trainer(tmp_path, LiftOptions(), **split(4, 1))
    make_trainer(tmp_path, LiftOptions(pad_in_loss=False), **split(2, 2))
    assert not caplog.records
    make_trainer(tmp_path, LiftOptions(), **split(2, 2))
    assert "a step depends on how it is split: give LiftLoss max_length" in caplog.text


@pytest.mark.parametrize(
    "options",
    [
        {"method": "lift2", "pad_in_loss": True},
        {"method": "lift3", "one_forward": True},
        {"method": "lift3", "one_forward": True, "learnability": "soft"},
        {"method": "cart"},
        {"method": "ppots", "time_density": DENSITY},
        {"method": "lift3", "one_forward": True, "time_density": DENSITY},
        {"method": "gift", "loss_denominator": 9.0},
        {"method": "sft", "loss_denominator": 9.0, "timestep_distribution": "discrete"},
    ],
    ids=str,
)
def test_every_objective_is_that_of_lift_trainer(tmp_path, options):
    trainer = make_trainer(tmp_path, LiftOptions(**options))
    trainer.train()
    assert_same_run(weights(trainer.model), weights_of_lift_trainer(tmp_path, **options))


@needs_transformers_5("trl passes use_cache, which the ModernBERT of transformers 4 does not take")
def test_in_trls_trainer_too(tmp_path):
    trl = pytest.importorskip("trl", reason="trl is not installed")
    options = {"method": "lift3", "pad_in_loss": False}
    with pytest.warns(FutureWarning, match="`compute_loss_func` is deprecated"):
        trainer = make_trainer(
            tmp_path, LiftOptions(**options), trainer_class=trl.SFTTrainer, config=trl.SFTConfig, bf16=False,
            gradient_checkpointing=False, **split(2, 2),
        )  # fmt: skip
    trainer.train()
    assert_same_run(weights(trainer.model), weights_of_lift_trainer(tmp_path, **options))


def test_no_logits_and_evaluation_that_agrees_with_itself(tmp_path):
    trainer = make_trainer(tmp_path, LiftOptions())
    calls = watch_logits(trainer.model)
    trainer.train()
    first, second = (trainer.evaluate()["eval_loss"] for _ in range(2))
    assert first == second and first > 0
    assert not calls
    assert trainer.model(torch.ones(1, 4, dtype=torch.int64)).logits.shape == (1, 4, 8)  # as ever, without a batch
    assert calls == [(1, 4, 8)]


def test_rows_are_scored_without_their_padding(tmp_path):
    options = {"method": "lift3", "pad_in_loss": False}
    ours = make_trainer(tmp_path, LiftOptions(**options), tiny_model(seed=4))
    theirs = LiftTrainer(
        model=tiny_model(seed=4), args=tiny_config(tmp_path, **options), processing_class=sudoku.build_tokenizer()
    )
    for model in (ours.model, theirs.model):
        with torch.no_grad():
            for p in model.parameters():  # far from the start, where all tokens score alike
                p.mul_(10)
    inputs = ours.data_collator(list(ours.train_dataset))
    expected = theirs.compute_loss(theirs.model.train(), theirs.data_collator(uneven_rows()))
    loss = ours.compute_loss(ours.model.train(), dict(inputs), num_items_in_batch=inputs["maskable"].sum())
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)


def test_cart_counts_as_context_what_is_attended_to(tmp_path):
    """Padding is none where it is left out, on rows of unequal length, as in LiftTrainer."""
    options = {"method": "cart", "pad_in_loss": False}
    ours = make_trainer(tmp_path, LiftOptions(**options))
    theirs = LiftTrainer(
        model=tiny_model(), args=tiny_config(tmp_path, **options), processing_class=sudoku.build_tokenizer()
    )
    inputs = ours.data_collator(list(ours.train_dataset))
    assert not inputs["attention_mask"].all()
    expected = theirs.compute_loss(theirs.model.train(), theirs.data_collator(uneven_rows()))
    loss = ours.compute_loss(ours.model.train(), dict(inputs), num_items_in_batch=inputs["maskable"].sum())
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)


def test_noise_moves_on_from_step_to_step_but_not_that_of_evaluations(tmp_path):
    trainer = make_trainer(
        tmp_path,
        LiftOptions(method="sft"),
        max_steps=3,
        learning_rate=0.0,
        eval_strategy="steps",
        eval_steps=1,
        **split(24, 1),
    )
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(set(losses)) == 3
    evaluations = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert len(evaluations) == 3 and len(set(evaluations)) == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"loss_normalizer": "sequence"}, "loss_normalizer must be token, got sequence"),
        ({"timestep_distribution": "antithetic"}, "must be uniform or discrete or fixed, got antithetic"),
        ({"score_source": "cache"}, "score_source must be model, got cache"),
        ({"complementary": True}, "complementary must be False, got True"),
        ({"mode_policy": "random", "mode_scope": "batch"}, "mode_scope must be row, got batch"),
        ({"shift_first": "zeros"}, "shift_first must be exclude, got zeros"),
        ({"lift_ignores_shift": True}, "lift_ignores_shift must be False, got True"),
        ({"exclude_mask_token": True}, "exclude_mask_token must be False, got True"),
        ({"method": "mirror"}, "LiftLoss counts each token once, and method=mirror has two views"),
        ({"method": "confidence"}, "method=confidence adds a mean to the loss"),
        ({"method": "gift"}, "method=gift divides by what it counts itself"),
        ({"method": "puma", "loss_denominator": 1.0}, "method=puma keeps rows from step to step"),
        ({"method": "no"}, "method must be one of"),
    ],
)
def test_what_needs_more_than_a_micro_batch_is_refused(options, sentence):
    with pytest.raises(LiftError, match=sentence):
        LiftLoss(tiny_model(), sudoku.build_tokenizer(), LiftOptions(**options))


def test_a_forgotten_argument_is_named(tmp_path):
    model, tokenizer = tiny_model(), sudoku.build_tokenizer()
    loss = LiftLoss(model, tokenizer)
    args = TrainingArguments(output_dir=str(tmp_path), **(RUN | split(4, 1) | {"remove_unused_columns": False}))
    rows = [{"input_ids": [2, 3, 4], "labels": [-100, 3, 4]}] * 8
    with pytest.raises(LiftError, match=r"callbacks=\[loss\]"):
        Trainer(model, args, train_dataset=rows, compute_loss_func=loss, data_collator=loss.collator).train()
    with pytest.raises(LiftError, match=r"data_collator=loss\.collator"):
        Trainer(model, args, train_dataset=rows, compute_loss_func=loss, callbacks=[loss]).train()


def test_what_the_fused_loss_cannot_do_is_refused(tmp_path):
    """The Trainer, too, leaves label smoothing out where it has a loss function."""
    with pytest.raises(LiftError, match=r"label_smoothing_factor=.* has no effect"):
        make_trainer(tmp_path, LiftOptions(), label_smoothing_factor=0.1)
