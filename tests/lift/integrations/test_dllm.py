"""`LiftMDLMMixin` on a stand-in with dLLM's public behaviour, against logits; and on dLLM where it is installed."""

from __future__ import annotations

import copy

import pytest
import torch

from lift import LiftError
from lift.integrations.dllm import LiftMDLMMixin
from lift.integrations.labelled_rows import content_id
from lift.objectives import diffusion_time
from tests.lift.support import mdlm_stand_in as stand_in
from tests.lift.support.clean_rows import DENSITY
from tests.lift.support.labelled import Shifted, split, tiny_dream, watch_logits, weights
from tests.lift.support.mdlm_trainer import MDLM, Config, make_trainer, of_dllm_itself, whole_batch
from tests.lift.support.oracle import loss_by_description
from tests.lift.support.tiny import tiny_model
from tests.lift.support.trainers import evaluation_batch, training_batch


def test_dllms_defaults_stay(tmp_path):
    assert Config(output_dir=str(tmp_path), report_to="none", use_cpu=True).learning_rate == 2e-5


@pytest.mark.parametrize("scheduler", [stand_in.Linear(), stand_in.Cosine()], ids=["linear", "cosine"])
@pytest.mark.parametrize("method", ["sft", "lift3"])
def test_loss_and_gradients_are_those_of_the_description(tmp_path, method, scheduler):
    model = tiny_model()
    twin = copy.deepcopy(model).eval()
    trainer = make_trainer(tmp_path, model=model, scheduler=scheduler, method=method)
    inputs = whole_batch(trainer)
    assert inputs["host_example_id"] == tuple(content_id(row["input_ids"]) for row in trainer.train_dataset)
    truth, modes = loss_by_description(
        twin, inputs, trainer.args, rate=lambda time: 1 - scheduler(time), weight=scheduler.weight
    )
    assert method == "sft" or len(set(modes)) == 3
    loss = trainer.compute_loss(model.train(), inputs)
    torch.testing.assert_close(loss, truth, rtol=1e-5, atol=1e-5)
    assert trainer.meter.mean("train") == pytest.approx(loss.item(), rel=1e-5)
    loss.backward()
    truth.backward()
    for (name, ours), theirs in zip(model.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5, msg=name)


def test_a_model_with_shifted_logits(tmp_path):
    model = tiny_dream()
    twin = copy.deepcopy(model).eval()
    trainer = make_trainer(tmp_path, model=model, right_shift_logits=True)
    inputs = whole_batch(trainer)
    truth, _ = loss_by_description(Shifted(twin), inputs, trainer.args, weight=trainer.scheduler.weight)
    torch.testing.assert_close(trainer.compute_loss(model.train(), inputs), truth, rtol=1e-5, atol=1e-5)
    with pytest.raises(LiftError, match="right_shift_logits=False is not how lift_kernels knows DreamModel"):
        make_trainer(tmp_path, model=tiny_dream())


@pytest.mark.parametrize("trains_padding", [False, True])
@pytest.mark.parametrize("one_forward", [False, True])
@pytest.mark.parametrize("norm", ["token", "sequence", "batch"])
def test_the_loss_norm_sees_the_step_as_a_whole(tmp_path, norm, one_forward, trains_padding):
    options, ends = {"one_forward": one_forward}, []
    for size, accumulation in ((6, 1), (2, 3)):
        options |= {"trains_padding": trains_padding, "learning_rate": 0.01, **split(size, accumulation)}
        trainer = make_trainer(tmp_path, loss_norm_type=norm, **options)
        trainer.train()
        ends.append(weights(trainer.model))
    assert any((a - b).abs().max() > 1e-3 for a, b in zip(ends[0], weights(tiny_model()), strict=True))
    for a, b in zip(*ends, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("options", [{"method": "ppots"}, {"method": "lift3", "one_forward": True}], ids=str)
def test_a_density_of_times_weighs_beside_the_schedule(tmp_path, options):
    trainer = make_trainer(tmp_path, scheduler=stand_in.Cosine(), time_density=DENSITY, **options)
    prepared = training_batch(trainer, whole_batch(trainer))
    u, importance = prepared.draws.u, prepared.draws.importance
    weight = trainer.scheduler.weight(diffusion_time(u)) * importance
    assert importance.unique().numel() > 3
    torch.testing.assert_close(prepared.batch.token_weight[:, 0], weight)
    if prepared.row_weight is not None:
        torch.testing.assert_close(prepared.row_weight, weight)


def test_what_each_loss_norm_divides_by(tmp_path):
    losses = {}
    for norm in ("token", "sequence", "batch"):
        trainer = make_trainer(tmp_path, method="sft", loss_norm_type=norm, loss_weight_type="uniform")
        inputs = whole_batch(trainer)
        losses[norm] = trainer.compute_loss(trainer.model, inputs).item()
    batch = training_batch(trainer, inputs).batch
    with torch.no_grad():
        log_probs = trainer.model(batch.input_ids).logits.log_softmax(-1)
    gold = log_probs.gather(-1, inputs["input_ids"][..., None])[..., 0]
    terms, lengths = -gold.where(batch.labels != -100, 0), inputs["maskable"].sum(1)  # no weights: uniform
    assert losses["token"] == pytest.approx((terms.sum() / lengths.sum()).item(), rel=1e-5)
    assert losses["sequence"] == pytest.approx((terms.sum(1) / lengths).mean().item(), rel=1e-5)
    assert losses["batch"] == pytest.approx((terms.sum() / 24).item(), rel=1e-5)


def test_no_mask_token_is_needed(tmp_path):
    """With the loss of all positions: the mean cross-entropy of what may be corrupted."""
    trainer = make_trainer(
        tmp_path, method="sft", corruption="uniform", loss_positions="all", time_scaling=False,
        loss_weight_type="uniform",
    )  # fmt: skip
    inputs = whole_batch(trainer)
    batch = training_batch(trainer, inputs).batch
    with torch.no_grad():
        log_probs = trainer.model(batch.input_ids).logits.log_softmax(-1)
    gold = log_probs.gather(-1, inputs["input_ids"][..., None])[..., 0]
    expected = -gold[inputs["maskable"]].mean()
    torch.testing.assert_close(trainer.compute_loss(trainer.model, inputs), expected, rtol=1e-5, atol=1e-6)


def test_weights_of_a_subclass_are_taken(tmp_path):
    """Dream's cart, for instance: weights for each token, from what is masked."""

    class Doubling(MDLM):
        def _compute_loss_weights(self, t, inputs, masked_mask):
            assert torch.equal(masked_mask, inputs["input_ids"] == self.mask_token_id)
            return 2.0 * masked_mask

    losses = []
    for trainer_class, kind in ((MDLM, "uniform"), (Doubling, "cart[geo_p:0.3]")):
        trainer = make_trainer(tmp_path, trainer_class=trainer_class, loss_weight_type=kind)
        losses.append(trainer.compute_loss(trainer.model, whole_batch(trainer)).item())
    assert losses[1] == pytest.approx(2 * losses[0], rel=1e-5)


def test_a_pool_reads_rows_as_the_loader_would(tmp_path):
    """Without the column that dLLM leaves to the Trainer to drop."""
    trainer = make_trainer(tmp_path, method="puma", max_steps=9)
    trainer.train()
    assert trainer._pool.state().turn.min() == 1


@pytest.mark.parametrize("scheduler", [stand_in.Linear(), stand_in.Cosine()], ids=["linear", "cosine"])
def test_training_and_evaluation_without_logits(tmp_path, scheduler):
    trainer = make_trainer(tmp_path, scheduler=scheduler)
    calls = watch_logits(trainer.model)
    trainer.train()
    first, second = (trainer.evaluate()["eval_loss"] for _ in range(2))
    assert first == second and not calls
    assert {"loss", "nll", "easy"} <= trainer.state.log_history[0].keys()


@pytest.mark.parametrize("time_range", [None, [0.3, 0.8]], ids=str)
def test_the_evaluation_meter_and_weights_are_dllms(tmp_path, time_range):
    """Over all times, whatever is trained."""
    scheduler = stand_in.Cosine()
    trainer = make_trainer(tmp_path, scheduler=scheduler, per_device_eval_batch_size=24, time_range=time_range)
    loss = trainer.evaluate()["eval_loss"]
    assert trainer.meter.mean("eval") == pytest.approx(loss, rel=1e-5)
    inputs = whole_batch(trainer)
    batch = evaluation_batch(trainer, inputs)
    u = (inputs["example_id"] % 24 + 0.5) / 24
    time = 1e-3 + (1 - 1e-3) * u
    torch.testing.assert_close(batch.token_weight[:, 0], scheduler.weight(time))
    share = (batch.labels != -100).sum() / inputs["maskable"].sum()
    assert share.item() == pytest.approx((1 - scheduler(time)).mean().item(), abs=0.1)
    with torch.no_grad():
        log_probs = trainer.model(batch.input_ids).logits.log_softmax(-1)
    gold = log_probs.gather(-1, inputs["input_ids"][..., None])[..., 0]
    total = -(batch.token_weight * gold).where(batch.labels != -100, 0).sum()
    assert loss == pytest.approx((total / inputs["maskable"].sum()).item(), rel=1e-5)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"config": stand_in.MDLMConfig}, "MDLMConfig lacks LIFT's fields: put LiftOptions first"),
        ({"method": "nonsense"}, "method must be one of"),
        ({"complementary": True}, "cannot take dLLM's weights"),
        ({"method": "mirror"}, "cannot take dLLM's weights"),
        (
            {"corruption": "uniform", "loss_positions": "all", "time_scaling": False},
            "loss_positions=all weighs all tokens alike, and loss_weight_type=scheduler does not",
        ),
        ({"attention": "block", "block_size": 4, "block_padding": "eos"}, "dLLM's collator completes blocks"),
        ({"one_forward": True, "loss_weight_type": "cart[geo_p:0.3]"}, "cannot take dLLM's weights"),
        ({"right_shift_logits": True}, "right_shift_logits=True is not how lift_kernels knows ModernBertForMaskedLM"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, options, sentence):
    with pytest.raises(LiftError, match=sentence):
        make_trainer(tmp_path, **options)


def test_shifted_labels_are_refused(tmp_path):
    trainer = make_trainer(tmp_path)
    with pytest.raises(LiftError, match="not shifted and not corrupted"):
        trainer.data_collator([{"input_ids": [2, 3, 4], "labels": [3, 4, -100]}])


def test_in_dllm_itself(tmp_path):
    config, trainer_class, _ = of_dllm_itself(LiftMDLMMixin, "MDLM")
    trainer = make_trainer(
        tmp_path, trainer_class=trainer_class, config=config, bf16=False, warmup_ratio=0.0, eval_steps=1, save_steps=1,
        per_device_eval_batch_size=24,
    )  # fmt: skip
    inputs = whole_batch(trainer)
    truth, _ = loss_by_description(
        copy.deepcopy(trainer.model).eval(), inputs, trainer.args, weight=trainer.scheduler.weight
    )
    torch.testing.assert_close(trainer.compute_loss(trainer.model, inputs), truth, rtol=1e-5, atol=1e-5)
    trainer.train()  # dLLM evaluates meanwhile, and logs what its meters hold
    history = trainer.state.log_history
    evaluations = [entry["eval_loss"] for entry in history if "eval_loss" in entry]
    assert [entry["eval_nll"] for entry in history if "eval_nll" in entry] == pytest.approx(evaluations, rel=1e-5)
    assert len(evaluations) == 2
