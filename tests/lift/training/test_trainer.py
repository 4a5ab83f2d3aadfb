"""What a whole trainer promises: the loss of the description, however a step is split, the same after a resume."""

from __future__ import annotations

import copy

import pytest
import torch
from datasets import concatenate_datasets
from transformers.trainer_callback import ProgressCallback

from lift import LiftError, LiftTrainer
from lift.data import MaskedDiffusionCollator, number_rows
from lift.objectives import diffusion_time
from lift.tasks import sudoku
from lift.training.progress import TrainingProgress
from tests.lift.support.labelled import tiny_dream
from tests.lift.support.launchers import alone_under_fsdp2
from tests.lift.support.oracle import loss_by_description, one_forward_loss_by_description
from tests.lift.support.tiny import tiny_config, tiny_model, tiny_rows, uneven_rows
from tests.lift.support.trainers import (
    end_of_run,
    evaluation_batch,
    make_trainer,
    micro_batch,
    trainer_of_uneven_rows,
    training_batch,
    weights,
)


@pytest.mark.parametrize("rows", ["even", "uneven", "uneven without pads"])
@pytest.mark.parametrize("method", ["sft", "lift2", "lift3"])
def test_loss_and_gradients_are_those_of_the_description(tmp_path, method, rows):
    """On rows of one length and of several, whose padding is trained by default, or neither trained nor attended to."""
    model = tiny_model()
    twin = copy.deepcopy(model).eval()
    trainer = make_trainer(tmp_path, model, method=method, pad_in_loss=rows != "uneven without pads")
    inputs = micro_batch(trainer, range(24)) if rows == "even" else trainer.data_collator(uneven_rows())
    truth, modes = loss_by_description(twin, inputs, trainer.args)
    assert method == "sft" or len(set(modes)) == int(method[-1])  # every mode is exercised
    loss = trainer.compute_loss(model.train(), inputs)
    torch.testing.assert_close(loss, truth, rtol=1e-5, atol=1e-5)
    loss.backward()
    truth.backward()
    for (name, ours), theirs in zip(model.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5, msg=name)


def test_a_resumed_run_is_the_same_run_to_the_bit(tmp_path):
    options = {"max_steps": 6, "save_strategy": "steps", "save_steps": 3, "gradient_accumulation_steps": 2}
    whole = make_trainer(tmp_path / "whole", tiny_model(dropout=0.1), **options)
    whole.train()
    resumed = make_trainer(tmp_path / "resumed", tiny_model(seed=5, dropout=0.1), **options)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-3"))
    assert resumed.state.global_step == 6
    assert all(map(torch.equal, weights(whole.model), weights(resumed.model)))
    assert (tmp_path / "whole" / "checkpoint-3" / "model.safetensors").is_file()


def test_accumulation_changes_nothing_but_rounding(tmp_path):
    ends = []
    for size, accumulation in ((4, 1), (2, 2)):
        trainer = make_trainer(
            tmp_path, per_device_train_batch_size=size, gradient_accumulation_steps=accumulation, optim="sgd",
            learning_rate=0.1,
        )  # fmt: skip
        trainer.train()
        ends.append(weights(trainer.model))
    for ours, theirs in zip(*ends, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"one_forward": True}, {"one_forward": True, "learnability": "soft"}], ids=str)
@pytest.mark.parametrize("normalizer", ["token", "sequence", "batch", "micro_batch"])
def test_the_normalizers_see_the_step_as_a_whole(tmp_path, normalizer, options):
    ends = [
        end_of_run(tmp_path, size, accumulation, loss_normalizer=normalizer, **options)
        for size, accumulation in ((6, 1), (2, 3))
    ]
    differences = [(a - b).abs().max().item() for a, b in zip(*ends, strict=True)]
    if normalizer == "micro_batch":  # the published code's: it does depend on how a step is split
        assert max(differences) > 1e-5
    else:
        assert max(differences) < 1e-8


@pytest.mark.parametrize("method", ["sft", "lift3", "cart"])
def test_a_split_step_is_the_same_step_where_padding_is_trained_to_one_width(tmp_path, method):
    options = {"method": method, "pad_in_loss": True, "pad_to": "max_length", "max_length": 22}
    ends = [end_of_run(tmp_path, size, accumulation, **options) for size, accumulation in ((6, 1), (2, 3))]
    assert max((a - b).abs().max().item() for a, b in zip(*ends, strict=True)) < 1e-8


def test_what_each_normalizer_divides_by(tmp_path):
    rows = uneven_rows(4)
    losses = {}
    for normalizer in ("token", "sequence", "batch", "trained"):
        trainer = make_trainer(tmp_path, method="sft", loss_normalizer=normalizer, pad_in_loss=False)
        inputs = trainer.data_collator(rows)
        losses[normalizer] = trainer.compute_loss(trainer.model, inputs).item()
    batch = training_batch(trainer, inputs).batch
    with torch.no_grad():
        log_probs = trainer.model(batch.input_ids, attention_mask=inputs["attention_mask"]).logits.log_softmax(-1)
    gold = log_probs.gather(-1, inputs["input_ids"][..., None])[..., 0]
    terms = -(gold * batch.token_weight).where(batch.labels != -100, 0).sum(1)
    lengths = inputs["maskable"].sum(1)
    assert losses["token"] == pytest.approx((terms.sum() / lengths.sum()).item(), rel=1e-5)
    assert losses["sequence"] == pytest.approx((terms / lengths).mean().item(), rel=1e-5)
    assert losses["batch"] == pytest.approx((terms.sum() / 4).item(), rel=1e-5)
    num_trained = (batch.labels != -100).sum()
    assert (
        losses["trained"] == pytest.approx((terms.sum() / num_trained).item(), rel=1e-5) and num_trained < lengths.sum()
    )
    explicit = make_trainer(tmp_path, trainer.model, method="sft", loss_denominator=7.0, pad_in_loss=False)
    assert explicit.compute_loss(trainer.model, inputs).item() == pytest.approx((terms.sum() / 7).item(), rel=1e-5)


@pytest.mark.parametrize("method", ["lift2", "lift3"])
@pytest.mark.parametrize("learnability", ["hard", "soft"])
def test_one_forward_trains_easy_and_hard_tokens_where_it_scores_them(tmp_path, method, learnability):
    model = tiny_model()
    trainer = make_trainer(tmp_path, model, method=method, one_forward=True, learnability=learnability)
    inputs = micro_batch(trainer, range(24))
    truth = one_forward_loss_by_description(model, inputs, trainer.args)
    loss = trainer.compute_loss(model, inputs)
    torch.testing.assert_close(loss, truth, rtol=1e-5, atol=1e-5)
    ours, theirs = (torch.autograd.grad(value, list(model.parameters()), allow_unused=True) for value in (loss, truth))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{"complementary": True}, {"method": "cart"}, {"method": "sft"}], ids=str)
@pytest.mark.parametrize("distribution", ["low_discrepancy", "antithetic", "discrete"])
def test_times_of_a_step_do_not_depend_on_how_it_is_split(tmp_path, distribution, options):
    ends = [
        end_of_run(tmp_path, size, accumulation, timestep_distribution=distribution, **options)
        for size, accumulation in ((6, 1), (2, 3))
    ]
    assert max((a - b).abs().max().item() for a, b in zip(*ends, strict=True)) < 1e-6


def test_low_discrepancy_times_fill_the_step(tmp_path):
    seen = []

    class Watch(LiftTrainer):
        def prepare_training_batch(self, model, inputs, draws, seed, **options):
            seen.extend(draws.timestep.tolist())
            return super().prepare_training_batch(model, inputs, draws, seed, **options)

    trainer = Watch(
        model=tiny_model(), train_dataset=tiny_rows(), processing_class=sudoku.build_tokenizer(),
        args=tiny_config(
            tmp_path, max_steps=1, gradient_accumulation_steps=3, timestep_distribution="low_discrepancy", method="sft"
        ),
    )  # fmt: skip
    trainer.train()
    gaps = torch.tensor(sorted(seen)).diff()
    assert len(seen) == 12 and gaps.min() > 0.9 / 12 * (1 - 1e-3) and gaps.max() < 1.1 / 12


def test_reference_quirks_turn_on_what_the_published_code_does(tmp_path):
    trainer = make_trainer(tmp_path, tiny_model(dropout=0.3), reference_quirks=True, method="lift3")
    inputs = micro_batch(trainer, range(24))
    prepared = training_batch(trainer, inputs)
    assert prepared.draws.order.unique().numel() == 1  # one mode, by the mean time
    assert trainer.args.loss_normalizer == "micro_batch" and trainer.args.eval_loss == "train"
    trainer.train()
    first, second = (trainer.evaluate()["eval_loss"] for _ in range(2))
    assert first != second  # masks are drawn anew at every evaluation
    random = make_trainer(tmp_path, mode_policy="random", mode_scope="batch")
    orders = {training_batch(random, {**inputs, "micro_batch": i}).draws.order.unique().item() for i in range(9)}
    assert orders == {-1, 0, 1}
    assert training_batch(random, inputs).draws.order.unique().numel() == 1


def test_evaluation_on_the_published_grid(tmp_path):
    trainer = make_trainer(tmp_path, eval_grid="linspace")
    trainer.evaluate()
    batch = evaluation_batch(trainer, trainer.data_collator([trainer.eval_dataset[i] for i in range(6)]))
    torch.testing.assert_close(1 / batch.token_weight[:, 0], diffusion_time(torch.linspace(0, 1, 6)))


def test_two_evaluations_agree_to_the_bit_whatever_the_batch_size(tmp_path):
    trainer = make_trainer(tmp_path, per_device_eval_batch_size=6)
    first, second = (trainer.evaluate()["eval_loss"] for _ in range(2))
    assert first == second
    one_by_one = make_trainer(tmp_path, trainer.model, per_device_eval_batch_size=1).evaluate()["eval_loss"]
    assert one_by_one == pytest.approx(first, rel=1e-5)


def test_evaluation_is_sft_at_midpoints(tmp_path):
    trainer = make_trainer(tmp_path)
    trainer.evaluate()
    batch = evaluation_batch(trainer, trainer.data_collator([trainer.eval_dataset[i] for i in range(6)]))
    midpoints = (torch.arange(6) + 0.5) / 6
    torch.testing.assert_close(1 / batch.token_weight[:, 0], 1e-3 + (1 - 1e-3) * midpoints)
    assert torch.equal(batch.labels != -100, batch.input_ids == 1)


def test_lift_learns(tmp_path):
    trainer = make_trainer(tmp_path, max_steps=60, per_device_train_batch_size=24)
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    assert trainer.evaluate()["eval_loss"] < 0.8 * before


def test_what_a_trainer_cannot_use_is_refused(tmp_path):
    with pytest.raises(LiftError, match="LiftTrainer has its own loss: leave compute_loss_func out"):
        LiftTrainer(
            tiny_model(), tiny_config(tmp_path), processing_class=sudoku.build_tokenizer(), compute_loss_func=print
        )
    with pytest.raises(LiftError, match="a model is needed, got the name 'bert-base-uncased'"):
        LiftTrainer("bert-base-uncased", tiny_config(tmp_path), processing_class=sudoku.build_tokenizer())


@pytest.mark.parametrize(
    ("options", "width"),
    [
        ({"pad_to": "max_length", "max_length": 40}, 40),
        ({"pad_to": "max_length", "max_length": 40, "pad_to_multiple_of": 16}, 48),
        ({"pad_to_multiple_of": 64}, 64),
    ],
)
def test_width_of_a_batch_is_the_configs(tmp_path, options, width):
    trainer = trainer_of_uneven_rows(tmp_path, **options)
    for loader in (trainer.get_train_dataloader(), trainer.get_eval_dataloader()):
        assert {batch["input_ids"].shape[1] for batch in loader} == {width}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"one_forward": True},
        {"one_forward": True, "learnability": "soft"},
        {"method": "cart", "pad_in_loss": False},
    ],
    ids=str,
)
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_in_bfloat16_under_fsdp2_weights_and_denominator_keep_their_digits(tmp_path, options):
    """FSDP2 casts the floating tensors among a forward's arguments: what the model is given when it is called has to be
    what was drawn, and a number that bfloat16 does not have."""
    given, drawn = [], []

    class Watch(LiftTrainer):
        def training_step(self, model, *args):
            # Behind FSDP2's own hook, which casts. Scoring is seen before training.
            model.register_forward_pre_hook(lambda model, args, kwargs: given.append(kwargs), with_kwargs=True)
            return super().training_step(model, *args)

        def log_micro_batch(self, prepared, outputs):
            drawn.append((prepared, outputs))

    with alone_under_fsdp2():
        trainer = trainer_of_uneven_rows(
            tmp_path, Watch, per_device_train_batch_size=24, max_steps=1, bf16=True, loss_denominator=301.0, **options
        )
        trainer.train()
        assert trainer.is_fsdp_enabled and trainer.accelerator.mixed_precision == "bf16"
    ((prepared, outputs),) = drawn
    arguments = {name: getattr(value, "value", value) for name, value in given[-1].items()}
    assert torch.tensor(301.0).bfloat16().item() != 301 and arguments["denominator"].item() == 301
    if prepared.one_forward is None:
        weight = prepared.batch.token_weight
        assert torch.equal(arguments["token_weight"], weight) and not torch.equal(weight, weight.bfloat16().float())
    else:
        weight = outputs.learnability.detach() * prepared.row_weight[:, None]
        assert torch.equal(arguments["lift"].timestep, prepared.draws.timestep)
        assert torch.equal(arguments["lift"].row_weight, prepared.row_weight)
    log_prob = outputs.token_stats.log_prob
    assert log_prob.dtype == torch.float32  # of the scores, and of what is logged; the loss itself FSDP2 rounds
    truth = -(log_prob * weight).where(prepared.batch.labels != -100, 0).sum() / 301
    assert outputs.loss.item() == pytest.approx(truth.item(), rel=2.0**-8)


def test_a_number_divides_the_loss_of_a_method_that_has_a_denominator_of_its_own(tmp_path):
    losses = []
    for options in ({}, {"loss_denominator": 7.0}):
        trainer = make_trainer(tmp_path, method="gift", **options)
        inputs = micro_batch(trainer)
        losses.append(trainer.compute_loss(trainer.model, inputs).item())
    num_drawn = training_batch(trainer, inputs).batch.denominator.item()
    assert losses[1] == pytest.approx(losses[0] * num_drawn / 7, rel=1e-5) and num_drawn != 7


@pytest.mark.parametrize("keep_first", [False, True])
def test_the_first_token_of_any_model_is_kept_where_asked(tmp_path, keep_first):
    rows = [{"input_ids": list(range(2, 2 + n)), "prompt_length": 0, "example_id": n} for n in (3, 5)]
    batch = make_trainer(tmp_path, keep_first=keep_first).data_collator(rows)
    assert batch["maskable"].tolist() == [[not keep_first, *[True] * 4]] * 2


@pytest.mark.parametrize("shift_first", ["exclude", "zeros"])
def test_the_first_token_of_a_model_that_predicts_the_next_is_masked_only_if_asked(tmp_path, shift_first):
    trainer = make_trainer(tmp_path, tiny_dream(), shift_first=shift_first, method="sft")
    row = {"input_ids": [2, 3, 4], "prompt_length": 0, "example_id": 0}
    assert trainer.data_collator([row])["maskable"].tolist() == [[shift_first == "zeros", True, True]]
    assert trainer._scorer.label_arguments == {"first_position": "zeros" if shift_first == "zeros" else "ignore"}


def test_scores_in_the_dtype_of_the_logits_have_that_of_the_head(tmp_path):
    trainer = make_trainer(tmp_path, tiny_model().half(), score_dtype="logits", method="lift2")
    log_prob = training_batch(trainer, micro_batch(trainer)).rejected_log_prob
    assert torch.equal(log_prob, log_prob.half().float()) and log_prob.unique().numel() > 3


def test_the_evaluation_has_no_gradient_and_checks_its_rows_as_training_does(tmp_path):
    trainer = make_trainer(tmp_path, eval_loss="train")
    inputs = trainer.data_collator([trainer.eval_dataset[i] for i in range(6)])
    losses = []
    trainer.prepare_training_batch = lambda *args, **kwargs: (
        losses.append(torch.is_grad_enabled()), LiftTrainer.prepare_training_batch(trainer, *args, **kwargs)
    )[1]  # fmt: skip
    loss, _, _ = trainer.prediction_step(trainer.model, dict(inputs), True)
    assert losses == [False] and not loss.requires_grad
    inputs["input_ids"][2, 20] = 8
    with pytest.raises(LiftError, match="row 2 of the training data has token ids outside"):
        trainer.prediction_step(trainer.model, dict(inputs), True)


def test_scores_are_learned_from_the_first_view_of_each_row(tmp_path):
    trainer = make_trainer(tmp_path, method="middle", complementary=True, score_source="cache")
    inputs, learned = micro_batch(trainer), []
    trainer._scorer.source.update = lambda *observed: learned.append(observed)
    _, outputs = trainer.compute_loss(trainer.model, inputs, return_outputs=True)
    trainer._scorer.learn()
    ((example_id, is_trained, log_prob),) = learned
    labels = training_batch(trainer, inputs).batch.labels[:8]
    assert torch.equal(example_id, inputs["example_id"]) and torch.equal(is_trained, labels != -100)
    assert torch.equal(log_prob, outputs.token_stats.log_prob[:8]) and not log_prob.requires_grad


def test_the_mask_token_is_saved_with_the_model_and_the_bar_is_ours(tmp_path):
    trainer = make_trainer(tmp_path, disable_tqdm=False)
    assert trainer.model.config.mask_token_id == trainer.mask_token_id == 1
    bars = [type(callback) for callback in trainer.callback_handler.callbacks]
    assert TrainingProgress in bars and ProgressCallback not in bars
    quiet = [type(callback) for callback in make_trainer(tmp_path).callback_handler.callbacks]
    assert TrainingProgress not in quiet


class TestBadInput:
    @pytest.mark.parametrize("by", ["tokenizer", "mask_token_id", "collator"])
    def test_padding_with_the_mask_token(self, tmp_path, by):
        tokenizer, collator = sudoku.build_tokenizer(), None
        if by == "tokenizer":
            tokenizer.pad_token = tokenizer.mask_token
        if by == "collator":
            collator = MaskedDiffusionCollator(tokenizer.mask_token_id)
        options = {"mask_token_id": tokenizer.pad_token_id} if by == "mask_token_id" else {}
        names = {"model": tiny_model(), "processing_class": tokenizer, "train_dataset": uneven_rows()}
        with pytest.raises(LiftError, match="the pad token and the mask token are both"):
            LiftTrainer(args=tiny_config(tmp_path, **options), data_collator=collator, **names)
        if by == "tokenizer":  # padding that nothing sees may be anything
            LiftTrainer(args=tiny_config(tmp_path, pad_in_loss=False), **names)

    @pytest.mark.parametrize("name", ["train_dataset", "eval_dataset", "second"])
    def test_joined_rows_that_share_their_numbers(self, tmp_path, name):
        joined = concatenate_datasets([tiny_rows(4), number_rows(tiny_rows(8).select(range(4, 8)))])
        sets = {"train_dataset": tiny_rows(4), "eval_dataset": {"first": tiny_rows(4), "second": tiny_rows(4)}}
        if name == "second":
            sets["eval_dataset"]["second"] = joined
        else:
            sets[name] = joined
        names = {"model": tiny_model(), "args": tiny_config(tmp_path), "processing_class": sudoku.build_tokenizer()}
        with pytest.raises(LiftError, match=f"^{name} has rows that differ and share the example_id 0"):
            LiftTrainer(**names, **sets)

    def test_a_tokenizer_without_mask_token(self, tmp_path):
        tokenizer = sudoku.build_tokenizer()
        tokenizer.mask_token = None
        with pytest.raises(LiftError, match="mask_token_id"):
            LiftTrainer(model=tiny_model(), args=tiny_config(tmp_path), processing_class=tokenizer)

    def test_a_mask_id_outside_the_vocabulary(self, tmp_path):
        with pytest.raises(LiftError, match="99"):
            make_trainer(tmp_path, mask_token_id=99)

    def test_no_tokenizer(self, tmp_path):
        with pytest.raises(LiftError, match="LiftTrainer needs the tokenizer, for its mask and pad tokens"):
            LiftTrainer(tiny_model(), tiny_config(tmp_path))
