"""One micro-batch of each method, from clean rows to its training forward."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from lift.objectives import (
    LiftOptions,
    cart_batch,
    choose_order,
    diffusion_time,
    draw_order,
    draw_time,
    draw_uniforms,
    overmask_rate,
    sft_batch,
    step_seed,
)
from lift.objectives.forward_process import draw_mode_words
from lift.objectives.time_density import TimeDensity
from lift.objectives.time_density_file import read_time_density
from lift.training.batch_builder import BatchBuilder, label_arguments
from tests.lift.support.clean_rows import DENSITY
from tests.lift.support.tiny import tiny_model, uneven_rows
from tests.lift.support.trainers import (
    logits_of,
    make_trainer,
    micro_batch,
    training_batch,
)


def test_evaluation_goes_over_all_times_whatever_those_trained(tmp_path):
    times = torch.tensor([0.0, 0.25, 1.0])
    weights = [
        trainer.prepare_evaluation_batch(micro_batch(trainer, range(3)), times).token_weight[:, 0]
        for trainer in (make_trainer(tmp_path, method="sft", **options) for options in ({}, {"time_range": [0.3, 0.8]}))
    ]
    assert torch.equal(*weights)
    torch.testing.assert_close(weights[1], 1 / (0.999 * times + 0.001))


def test_cart_weights_each_token_by_the_context_near_it(tmp_path):
    trainer = make_trainer(tmp_path, method="cart", cart_p=0.3)
    inputs = micro_batch(trainer)
    batch = training_batch(trainer, inputs).batch
    is_masked = batch.labels != -100
    time = diffusion_time(draw_uniforms(step_seed(trainer.args.seed, 0), inputs["example_id"])[0])
    for b, i in is_masked.nonzero().tolist():
        context = sum(0.5 * 0.3 * 0.7 ** (abs(i - j) - 1) for j in range(is_masked.shape[1]) if not is_masked[b, j])
        assert batch.token_weight[b, i].item() == pytest.approx(context / time[b].item(), rel=1e-5)
    trainer.train()


def test_gift_masks_where_the_model_is_uncertain(tmp_path):
    model = tiny_model()
    trainer = make_trainer(tmp_path, model, method="gift")
    inputs = micro_batch(trainer, range(24))
    batch = training_batch(trainer, inputs, model).batch
    response = inputs["maskable"] & (inputs["input_ids"] != 0)
    log_probs = logits_of(model, inputs["input_ids"].masked_fill(response, 1)).log_softmax(-1)
    root = -(log_probs.exp() * log_probs).sum(-1)
    root = root.clamp(min=0).sqrt()
    time = diffusion_time(draw_uniforms(step_seed(trainer.args.seed, 0), inputs["example_id"])[0])
    rates = 1 - (1 - time[:, None]) ** (root / root[response].mean())
    is_trained = batch.labels != -100
    assert is_trained.any() and not (is_trained & ~response).any()
    torch.testing.assert_close(batch.token_weight[is_trained], 1 / rates[is_trained], rtol=1e-4, atol=1e-4)
    assert batch.denominator == is_trained.sum()
    trainer.train()


@pytest.mark.parametrize(
    ("options", "reads"),
    [({"method": "gift"}, True), ({"method": "gift", "loss_normalizer": "micro_batch"}, False), ({}, False)],
)
def test_only_what_reads_the_step_is_asked_before_it(tmp_path, monkeypatch, options, reads):
    trainer = make_trainer(tmp_path, max_steps=1, **options)
    asked = []
    read_step = trainer._batches.read_step
    monkeypatch.setattr(trainer._batches, "read_step", lambda *args: asked.append(args) or read_step(*args))
    trainer.train()
    assert bool(asked) == reads


def test_complementary_views_cover_every_token_of_middle_rows_once(tmp_path):
    trainer = make_trainer(tmp_path, method="middle", complementary=True, pad_in_loss=False)
    inputs = micro_batch(trainer)
    prepared = training_batch(trainer, inputs)
    first, second = (prepared.batch.labels != -100).chunk(2)
    assert torch.equal(first ^ second, inputs["maskable"])
    draws = trainer._batches.draw(inputs, step_seed(trainer.args.seed, 0))
    assert torch.equal(trainer._batches.maskable(inputs, draws, trainer._seed()), prepared.maskable)
    assert prepared.batch.denominator == 2 * inputs["maskable"].sum()
    loss = trainer.compute_loss(trainer.model, inputs)
    batch = prepared.batch
    log_probs = trainer.model(batch.input_ids, attention_mask=inputs["attention_mask"].repeat(2, 1)).logits.log_softmax(
        -1
    )
    gold = log_probs.gather(-1, inputs["input_ids"].repeat(2, 1)[..., None])[..., 0]
    truth = -(gold * batch.token_weight).where(batch.labels != -100, 0).sum() / batch.denominator
    torch.testing.assert_close(loss, truth, rtol=1e-5, atol=1e-5)


def test_every_step_draws_new_masks(tmp_path):
    trainer = make_trainer(tmp_path)
    inputs = micro_batch(trainer)
    first = training_batch(trainer, inputs).batch.input_ids
    assert torch.equal(first, training_batch(trainer, inputs).batch.input_ids)
    trainer.state.global_step = 1
    assert not torch.equal(first, training_batch(trainer, inputs).batch.input_ids)


def step_of(*, mask_rate=lambda time: time, **options) -> BatchBuilder:
    chosen = LiftOptions(**options)
    chosen.resolve_options()
    return BatchBuilder(chosen, None, mask_token_id=1, pad_token_id=0, mask_rate=mask_rate)


ROWS = {"example_id": torch.arange(40), "host_example_id": tuple(range(100, 140))}
IDS = torch.arange(100, 140)


def test_each_row_draws_its_time_rate_and_mode_from_the_seed_and_its_example():
    draws = step_of().draw(ROWS, 7)
    u, r = draw_uniforms(7, IDS)
    assert torch.equal(draws.u, u) and torch.equal(draws.timestep, diffusion_time(u))
    assert torch.equal(draws.rho, overmask_rate(u, r))
    assert torch.equal(draws.order, choose_order(draws.timestep, "lift3")) and len(draws.order.unique()) == 3
    some = step_of().draw({"host_example_id": (103, 139), "example_id": torch.zeros(2)}, 7)
    for name in ("u", "timestep", "rho", "order"):
        assert torch.equal(getattr(some, name), getattr(draws, name)[[3, 39]])
    assert not torch.equal(step_of().draw(ROWS, 8).u, u)


@pytest.mark.parametrize("method", ["sft", "gift", "cart"])
def test_methods_that_train_all_they_mask_draw_a_time_alone(method):
    draws = step_of(method=method).draw(ROWS, 7)
    assert torch.equal(draws.timestep, diffusion_time(draw_uniforms(7, IDS)[0]))
    assert draws.rho is None and draws.order is None


def test_the_options_of_the_draw_count():
    u, r = draw_uniforms(7, IDS)
    draws = step_of(time_epsilon=0.2, min_rho=0.3, max_rho=0.4, method="lift2").draw(ROWS, 7)
    assert torch.equal(draws.timestep, diffusion_time(u, epsilon=0.2)) and draws.timestep.min() >= 0.2
    assert torch.equal(draws.rho, overmask_rate(u, r, min_rho=0.3, max_rho=0.4))
    assert torch.equal(draws.order, choose_order(draws.timestep, "lift2"))
    fixed = step_of(timestep_distribution="fixed", fixed_timestep=0.5).draw(ROWS, 7)
    assert (fixed.u == 0.5).all()
    shared = step_of(mode_scope="batch").draw(ROWS, 7)
    assert torch.equal(shared.order, choose_order(shared.timestep, "lift3", scope="batch"))


def test_a_schedule_turns_times_into_rates_and_the_floor_comes_first():
    draws = step_of(mask_rate=lambda time: time**2).draw(ROWS, 7)
    u, r = draw_uniforms(7, IDS)
    assert torch.equal(draws.u, u) and torch.equal(draws.timestep, diffusion_time(u) ** 2)
    assert torch.equal(draws.rho, overmask_rate(u**2, r))
    assert torch.equal(draws.order, choose_order(diffusion_time(u) ** 2, "lift3"))


def test_random_modes_are_the_rows_own_or_the_micro_batches():
    own = step_of(mode_policy="random").draw(ROWS, 7)
    assert torch.equal(own.order, draw_order(draw_mode_words(7, IDS), "lift3"))
    step = step_of(mode_policy="random", mode_scope="batch")
    orders = [step.draw(ROWS | {"micro_batch": i}, 7).order for i in range(9)]
    assert all((order == order[0]).all() for order in orders) and len({order[0].item() for order in orders}) == 3
    assert torch.equal(step.draw(ROWS, 7).order, orders[0])  # a micro-batch from elsewhere is the first


@pytest.mark.parametrize("distribution", ["low_discrepancy", "antithetic"])
def test_spread_times_go_by_the_place_in_the_step(distribution):
    step, position = step_of(timestep_distribution=distribution), torch.arange(40).flip(0)
    names = {"position": position, "num_rows": 80}
    assert torch.equal(
        step.draw(ROWS | {"position": position, "num_step_rows": 80}, 7).u, draw_time(distribution, 7, IDS, **names)
    )
    alone = draw_time(distribution, 7, IDS, position=torch.arange(40), num_rows=40)
    assert torch.equal(step.draw(ROWS, 7).u, alone)  # a micro-batch from elsewhere is a step of its own


@pytest.mark.parametrize("options", [{}, {"method": "ppots", "timestep_distribution": "antithetic"}], ids=str)
def test_a_density_changes_the_uniform_draws_before_all_else(options):
    plain = step_of(**options | {"method": "sft"}).draw(ROWS, 7).u
    u, importance = TimeDensity(*read_time_density(DENSITY)[:2]).draw(plain)
    draws = step_of(**options, time_density=DENSITY, max_importance=1.5).draw(ROWS, 7)
    assert torch.equal(draws.u, u) and torch.equal(draws.timestep, diffusion_time(u))
    assert torch.equal(draws.importance, importance.clamp(max=1.5)) and (draws.importance == 1.5).any()
    if draws.order is not None:
        assert torch.equal(draws.rho, overmask_rate(u, draw_uniforms(7, IDS)[1]))
        assert torch.equal(draws.order, choose_order(draws.timestep, "lift3"))


def test_each_block_draws_by_the_density():
    inputs = ROWS | {"input_ids": torch.zeros(40, 24, dtype=torch.int64), "lengths": (24,) * 40}
    draws = []
    for options in ({"method": "sft"}, {"method": "ppots", "time_density": DENSITY}):
        builder = step_of(**options)
        builder.block_size = 4
        draws.append(builder.draw(dict(inputs), 7))
    u, importance = TimeDensity(*read_time_density(DENSITY)[:2]).draw(draws[0].u)
    assert len(u) == 240 and torch.equal(draws[1].u, u) and torch.equal(draws[1].importance, importance)


def test_what_may_be_masked_is_known_without_the_training_batch(tmp_path):
    for options in ({"complementary": True}, {}):
        trainer = make_trainer(tmp_path, **options)
        inputs = trainer.data_collator(uneven_rows(12))
        prepared = training_batch(trainer, inputs)
        assert torch.equal(trainer._batches.maskable(inputs, prepared.draws, trainer._seed()), prepared.maskable)


@pytest.mark.parametrize("pad_in_loss", [True, False])
def test_the_objective_gets_the_attention_mask_and_the_seed(tmp_path, pad_in_loss):
    """CART on rows of unequal length: what is not attended to is no context."""
    trainer = make_trainer(tmp_path, method="cart", pad_in_loss=pad_in_loss)
    inputs = trainer.data_collator(uneven_rows(12))
    seed = step_seed(trainer.args.seed, 0)
    batch = training_batch(trainer, inputs).batch
    names = {"mask_token_id": 1, "seed": seed, "example_id": inputs["example_id"]}
    time = diffusion_time(draw_uniforms(seed, inputs["example_id"])[0])
    attention_mask = (torch.arange(22) < torch.tensor([[len(row["input_ids"])] for row in uneven_rows(12)])).long()
    attention_mask = attention_mask[:, : inputs["input_ids"].shape[1]]
    truth = cart_batch(
        inputs["input_ids"], inputs["maskable"], time, attention_mask=None if pad_in_loss else attention_mask, **names
    )
    assert torch.equal(batch.labels, truth.labels) and torch.equal(batch.token_weight, truth.token_weight)
    assert pad_in_loss == ("attention_mask" not in inputs)


def test_scores_come_from_the_forward_that_is_named(tmp_path):
    trainer = make_trainer(tmp_path, method="lift2")
    inputs, asked = micro_batch(trainer), []

    def forward(**arguments):
        asked.append(arguments["labels"])
        return trainer.model(**arguments)

    draws = trainer._batches.draw(inputs, 3)
    named = trainer._batches.build(inputs, draws, 3, trainer.model, forward=forward)
    own = trainer._batches.build(inputs, draws, 3, trainer.model)
    assert len(asked) == 1 and torch.equal(named.batch.labels, own.batch.labels)


def test_evaluation_masks_at_the_schedules_rate_of_the_floored_time():
    step = step_of(mask_rate=lambda time: time**2, time_epsilon=0.1)
    inputs = {
        "input_ids": torch.randint(2, 8, (3, 30)), "maskable": torch.ones(3, 30, dtype=torch.bool),
        "example_id": torch.tensor([5, 3, 9]),
    }  # fmt: skip
    u = torch.tensor([0.2, 0.5, 0.9])
    batch = step.evaluation_batch(inputs, u, 3)
    time = (0.1 + 0.9 * u) ** 2
    names = {"mask_token_id": 1, "seed": 3, "example_id": inputs["example_id"]}
    truth = sft_batch(inputs["input_ids"], inputs["maskable"], time, **names)
    assert torch.equal(batch.labels, truth.labels)
    torch.testing.assert_close(batch.token_weight, truth.token_weight)


@pytest.mark.parametrize(
    ("predicts_next", "options", "wanted"),
    [
        (False, {"shift_first": "zeros", "lift_ignores_shift": True}, {}),
        (True, {}, {"first_position": "ignore"}),
        (True, {"shift_first": "zeros"}, {"first_position": "zeros"}),
        (True, {"lift_ignores_shift": True}, {"predicts_next": False}),
        (True, {"lift_ignores_shift": True, "method": "sft"}, {"first_position": "ignore"}),
        (True, {"lift_ignores_shift": True, "method": "sft", "shift_first": "zeros"}, {"first_position": "zeros"}),
    ],
)
def test_how_labels_are_taken_by_models_that_predict_the_next_token(predicts_next, options, wanted):
    assert label_arguments(SimpleNamespace(predicts_next=predicts_next), LiftOptions(**options)) == wanted
