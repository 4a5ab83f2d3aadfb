from __future__ import annotations

import copy
import math

import pytest
import torch
from transformers import TrainerCallback

from lift import LiftError, LiftTrainer
from lift.objectives import diffusion_time, draw_uniforms, overmask_rate, step_seed
from lift.tasks import sudoku
from lift.training.scorer import Scorer, ScoringCall
from lift_kernels import reference, select_tokens
from tests.lift.support.tiny import tiny_config, tiny_model, tiny_rows, uneven_rows
from tests.lift.support.trainers import (
    end_of_run,
    evaluation_batch,
    expected_loss,
    logits_of,
    make_trainer,
    micro_batch,
    training_batch,
    weights,
)


@pytest.mark.parametrize("method", ["sft", "lift2", "lift3"])
def test_loss_and_gradients_are_those_of_the_description(tmp_path, method):
    model = tiny_model()
    twin = copy.deepcopy(model).eval()
    trainer = make_trainer(tmp_path, model, method=method)
    inputs = micro_batch(trainer, range(24))
    truth, modes = expected_loss(twin, inputs, trainer.args)
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


def test_what_each_normalizer_divides_by(tmp_path):
    rows = uneven_rows(4)
    losses = {}
    for normalizer in ("token", "sequence", "batch"):
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
    explicit = make_trainer(tmp_path, trainer.model, method="sft", loss_denominator=7.0, pad_in_loss=False)
    assert explicit.compute_loss(trainer.model, inputs).item() == pytest.approx((terms.sum() / 7).item(), rel=1e-5)


@pytest.mark.parametrize("method", ["lift2", "lift3"])
@pytest.mark.parametrize("learnability", ["hard", "soft"])
def test_one_forward_trains_easy_and_hard_tokens_where_it_scores_them(tmp_path, method, learnability):
    model = tiny_model()
    trainer = make_trainer(tmp_path, model, method=method, one_forward=True, learnability=learnability)
    inputs = micro_batch(trainer, range(24))
    seed = step_seed(trainer.args.seed, 0)
    u, r = draw_uniforms(seed, inputs["example_id"])
    time, rho = diffusion_time(u), overmask_rate(u, r)
    total = 0.0
    for row, example in enumerate(inputs["example_id"].tolist()):
        clean, maskable, t = inputs["input_ids"][row], inputs["maskable"][row], time[row].item()
        words = [reference.random_word(seed, example, p, 0) >> 8 for p in range(len(clean))]
        mask = [p for p in range(len(clean)) if maskable[p] and words[p] * 2.0**-24 < (time + rho)[row].item()]
        count = round(len(mask) * max(t / (t + rho[row].item()), 1e-3))
        low, high = (1 / 2, 1 / 2) if method == "lift2" else (1 / 3, 2 / 3)
        is_middle = low <= t < high
        if is_middle and learnability == "hard":
            draws = {p: reference.random_word(seed, example, p, 1) for p in mask}
            mask = sorted(mask, key=draws.__getitem__, reverse=True)[: max(count, 1)]
        noisy = clean.clone()
        noisy[mask] = 1
        gold = model(noisy[None]).logits[0].log_softmax(-1)[mask, clean[mask]]
        if learnability == "soft":
            kept = max(count, 1) if is_middle else count
            c = reference.soft_learnability(gold.detach(), kept, t) if mask else gold
        else:
            best = gold.detach().argsort(descending=t >= high, stable=True)[: count if not is_middle else len(mask)]
            c = torch.zeros(len(mask)).index_fill_(0, best, 1.0)
        total = total - (c * gold).sum() / t
    truth = total / inputs["maskable"].sum()
    loss = trainer.compute_loss(model, inputs)
    torch.testing.assert_close(loss, truth, rtol=1e-5, atol=1e-5)
    ours, theirs = (torch.autograd.grad(value, list(model.parameters()), allow_unused=True) for value in (loss, truth))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


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


def test_complementary_views_cover_every_token_of_middle_rows_once(tmp_path):
    trainer = make_trainer(tmp_path, method="middle", complementary=True, pad_in_loss=False)
    inputs = micro_batch(trainer)
    prepared = training_batch(trainer, inputs)
    first, second = (prepared.batch.labels != -100).chunk(2)
    assert torch.equal(first ^ second, inputs["maskable"])
    draws = trainer._step.draw(inputs, step_seed(trainer.args.seed, 0))
    assert torch.equal(trainer._step.maskable(inputs, draws), prepared.maskable)
    assert prepared.batch.denominator == 2 * inputs["maskable"].sum()
    loss = trainer.compute_loss(trainer.model, inputs)
    batch = prepared.batch
    log_probs = trainer.model(batch.input_ids, attention_mask=inputs["attention_mask"].repeat(2, 1)).logits.log_softmax(
        -1
    )
    gold = log_probs.gather(-1, inputs["input_ids"].repeat(2, 1)[..., None])[..., 0]
    truth = -(gold * batch.token_weight).where(batch.labels != -100, 0).sum() / batch.denominator
    torch.testing.assert_close(loss, truth, rtol=1e-5, atol=1e-5)


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


@pytest.mark.parametrize("source", ["cache", "frequency"])
def test_a_score_source_replaces_the_scoring_forward(tmp_path, source, monkeypatch):
    trainer = make_trainer(tmp_path, method="lift2", score_source=source)
    monkeypatch.setattr(Scorer, "statistics", lambda *_: pytest.fail("the model was asked"))
    inputs = micro_batch(trainer)
    trainer.compute_loss(trainer.model, inputs)
    known = trainer._scorer.source.score_batch(inputs["example_id"], inputs["input_ids"])
    prepared = training_batch(trainer, inputs)
    assert torch.equal(prepared.rejected_log_prob, known)
    if source == "cache":
        trained = prepared.batch.labels != -100
        log_probs = logits_of(trainer.model, training_batch(trainer, inputs).batch.input_ids)
        assert known.unique().numel() > 5 and trained.any() and log_probs.isfinite().all()
    else:
        counts = torch.stack([row for row in inputs["input_ids"]]).unique().numel()
        assert known.unique().numel() <= counts
    trainer.train()


def test_a_resumed_cache_is_the_same_cache(tmp_path):
    options = {"max_steps": 6, "save_strategy": "steps", "save_steps": 3, "method": "lift2", "score_source": "cache"}
    whole = make_trainer(tmp_path / "whole", **options)
    whole.train()
    resumed = make_trainer(tmp_path / "resumed", tiny_model(seed=5), **options)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-3"))
    assert all(map(torch.equal, weights(whole.model), weights(resumed.model)))
    ids = torch.arange(24)
    assert torch.equal(whole._scorer.source.scores(ids, 32), resumed._scorer.source.scores(ids, 32))


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


def test_scoring_in_train_mode_and_in_the_dtype_of_the_logits(tmp_path):
    trainer = make_trainer(tmp_path, tiny_model(dropout=0.5), score_train_mode=True, score_dtype="logits")
    trainer._scorer.logits_dtype = torch.bfloat16
    model, inputs = trainer.model.train(), micro_batch(trainer, range(24))
    first, second = (training_batch(trainer, inputs, model).rejected_log_prob for _ in range(2))
    assert not torch.equal(first, second)  # dropout is on
    assert torch.equal(first, first.bfloat16().float())


def test_evaluation_on_the_published_grid(tmp_path):
    trainer = make_trainer(tmp_path, eval_grid="linspace")
    trainer.evaluate()
    batch = evaluation_batch(trainer, trainer.data_collator([trainer.eval_dataset[i] for i in range(6)]))
    torch.testing.assert_close(1 / batch.token_weight[:, 0], diffusion_time(torch.linspace(0, 1, 6)))


def test_every_step_draws_new_masks(tmp_path):
    trainer = make_trainer(tmp_path)
    inputs = micro_batch(trainer)
    first = training_batch(trainer, inputs).batch.input_ids
    assert torch.equal(first, training_batch(trainer, inputs).batch.input_ids)
    trainer.state.global_step = 1
    assert not torch.equal(first, training_batch(trainer, inputs).batch.input_ids)


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


def test_scoring_turns_dropout_off_and_leaves_no_trace(tmp_path):
    trainer = make_trainer(tmp_path, tiny_model(dropout=0.5))
    model, inputs = trainer.model.train(), micro_batch(trainer)
    model.model.embeddings.eval()  # a part that the user froze
    labels, rows = inputs["input_ids"].where(inputs["maskable"], -100), torch.tensor([0, 5])
    call = ScoringCall(trainer._scorer, model, model, inputs, trainer._step.draw(inputs, 0))
    first, second = (trainer._scorer.statistics(call, inputs["input_ids"], labels, rows).log_prob for _ in range(2))
    assert torch.equal(first, second) and not first.requires_grad
    assert model.training and model.head.training and not model.model.embeddings.training
    assert first[rows].any(1).all() and not first[1:5].any()


def test_only_rows_that_rank_are_scored(tmp_path, monkeypatch):
    trainer = make_trainer(tmp_path)
    scored = []
    real = Scorer.statistics
    monkeypatch.setattr(Scorer, "statistics", lambda *a: scored.append(a[-1]) or real(*a))
    inputs = micro_batch(trainer, range(24))
    training_batch(trainer, inputs)
    _, modes = expected_loss(copy.deepcopy(trainer.model), inputs, trainer.args)
    assert scored[0].tolist() == [i for i, mode in enumerate(modes) if mode != "middle"]


def test_what_is_logged(tmp_path):
    trainer = make_trainer(tmp_path, max_steps=3, method="lift3")
    trainer.train()
    entries = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(entries) == 3
    for entry in entries:
        assert entry["easy"] + entry["middle"] + entry["hard"] == pytest.approx(1)
        assert entry["tokens_per_second"] > 0 and math.isfinite(entry["loss"])
        assert 0 < entry["mean_t"] < 1 and 0 < entry["mean_rho"] < 1 and 0 <= entry["accuracy"] <= 1
        assert entry["kept_log_prob"] == -entry["nll"] < 0 < entry["entropy"] < math.log(8) + 1e-6
    sft = make_trainer(tmp_path, max_steps=1, method="sft")
    sft.train()
    assert "easy" not in sft.state.log_history[0]


@pytest.mark.parametrize("one_forward", [False, True])
def test_the_logged_sums_are_those_of_the_tokens(tmp_path, one_forward):
    trainer = make_trainer(tmp_path, method="lift2", one_forward=one_forward)
    inputs = micro_batch(trainer, range(24))
    trainer.compute_loss(trainer.model, inputs)
    logged = trainer._statistics.take(lambda sums: sums)
    prepared = training_batch(trainer, inputs)
    corrupted = prepared.batch.input_ids
    with torch.no_grad():
        log_probs = trainer.model(corrupted).logits.log_softmax(-1)
    gold = log_probs.gather(-1, inputs["input_ids"][..., None])[..., 0]
    is_kept = prepared.batch.labels != -100
    if one_forward:
        is_masked = is_kept
        lift = prepared.one_forward
        is_kept = select_tokens(gold, is_masked, lift.num_keep, lift.order, seed=lift.seed, row_ids=lift.row_ids)
        rejected, rejected_gold = is_masked & ~is_kept, gold
    else:
        rejected, rejected_gold = prepared.rejected, prepared.rejected_log_prob
    assert rejected.any() and is_kept.any()
    expected = {
        "mean_t": prepared.draws.timestep.mean(), "mean_rho": prepared.draws.rho.mean(),
        "easy": (prepared.draws.order == 1).float().mean(), "hard": (prepared.draws.order == -1).float().mean(), "middle": 0.0,
        "nll": -gold[is_kept].mean(), "kept_log_prob": gold[is_kept].mean(),
        "accuracy": (log_probs.argmax(-1) == inputs["input_ids"])[is_kept].float().mean(),
        "entropy": -(log_probs.exp() * log_probs).sum(-1)[is_kept].mean(),
        "rejected_log_prob": rejected_gold[rejected].mean(),
    }  # fmt: skip
    assert logged == pytest.approx({name: float(value) for name, value in expected.items()}, rel=1e-5)
    assert trainer._statistics.take(lambda sums: sums) == {}


def test_a_loss_that_is_not_finite_stops_before_the_weights_change(tmp_path):
    class Poison(TrainerCallback):
        def on_step_begin(self, args, state, control, model=None, **kwargs):
            if state.global_step == 2:
                with torch.no_grad():
                    model.decoder.bias[3] = float("nan")
                Poison.before = weights(model)

    trainer = make_trainer(tmp_path, callbacks=[Poison()])
    with pytest.raises(LiftError, match="the loss is nan by step 3, so training stopped: lower learning_rate"):
        trainer.train()
    assert all(
        torch.equal(a, b) for a, b in zip(Poison.before, weights(trainer.model), strict=True) if a.isfinite().all()
    )


def test_lift_learns(tmp_path):
    trainer = make_trainer(tmp_path, max_steps=60, per_device_train_batch_size=24)
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    assert trainer.evaluate()["eval_loss"] < 0.8 * before


class TestBadInput:
    def test_a_tokenizer_without_mask_token(self, tmp_path):
        tokenizer = sudoku.build_tokenizer()
        tokenizer.mask_token = None
        with pytest.raises(LiftError, match="mask_token_id"):
            LiftTrainer(model=tiny_model(), args=tiny_config(tmp_path), processing_class=tokenizer)

    def test_a_mask_id_outside_the_vocabulary(self, tmp_path):
        with pytest.raises(LiftError, match="99"):
            make_trainer(tmp_path, mask_token_id=99)

    def test_a_tokenizer_larger_than_the_head(self, tmp_path):
        tokenizer = sudoku.build_tokenizer()
        tokenizer.add_tokens(["[5]", "[6]"])
        with pytest.raises(LiftError, match="the tokenizer has 9 tokens but the model's head only 8 rows"):
            LiftTrainer(model=tiny_model(), args=tiny_config(tmp_path), processing_class=tokenizer)

    def test_token_ids_outside_the_vocabulary(self, tmp_path):
        trainer = make_trainer(tmp_path)
        inputs = micro_batch(trainer)
        inputs["input_ids"][3, 20] = 8
        with pytest.raises(
            LiftError, match="row 3 of the training data has token ids outside the model's vocabulary of 8"
        ):
            trainer.compute_loss(trainer.model, inputs)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                {"method": "lift4"},
                "method must be one of sft, lift2, lift3, gift, cart, easy, middle, hard, got 'lift4'",
            ),
            ({"mode_policy": "best"}, "mode_policy must be one of time, random, got 'best'"),
            ({"time_epsilon": 0.0}, "time_epsilon must be between 0 and 1"),
            ({"min_rho": 1.0}, "min_rho must be at least 0 and below 1"),
            ({"loss_normalizer": "mean"}, "loss_normalizer must be one of token, sequence, batch, micro_batch, got"),
            ({"loss_denominator": 0.0}, "loss_denominator must be above 0, got 0.0"),
            ({"learnability": "soft"}, "learnability=soft belongs to one_forward"),
            (
                {"one_forward": True, "method": "sft"},
                "one_forward belongs to the methods that select tokens, got method='sft'",
            ),
            ({"method": "lift2", "complementary": True}, "complementary masks belong to the middle mode"),
            ({"complementary": True, "one_forward": True}, "complementary masks need a forward of their own"),
            ({"method": "gift", "score_source": "cache"}, "score_source=cache replaces the scoring forward"),
            ({"score_source": "memory"}, "score_source must be one of model, cache, frequency, got 'memory'"),
            ({"timestep_distribution": "fixed"}, "fixed_timestep and timestep_distribution=fixed belong together"),
            ({"fixed_timestep": 0.5}, "fixed_timestep and timestep_distribution=fixed belong together"),
            ({"cart_p": 1.0}, "cart_p must be between 0 and 1"),
            ({"max_rho": 0.0}, "max_rho must be above 0"),
            ({"min_keep": -1}, "min_keep must be at least 0"),
            ({"one_forward": True, "learnability": "firm"}, "learnability must be one of hard, soft"),
            ({"one_forward": True, "soft_temperature": 0.0}, "soft_temperature must be above 0"),
            ({"remove_unused_columns": True}, "remove_unused_columns must be False"),
        ],
    )
    def test_a_field_outside_its_range(self, tmp_path, options, message):
        with pytest.raises(LiftError, match=message):
            tiny_config(tmp_path, **options)


def test_an_evaluation_by_the_method_does_not_ask_the_cache_of_the_training_rows(tmp_path):
    """Its rows have the same numbers, and may be more."""
    options = {"method": "lift2", "eval_loss": "train", "max_steps": 2}
    cached = make_trainer(tmp_path, score_source="cache", **options)
    cached.train()
    plain, more = make_trainer(tmp_path, cached.model, **options), tiny_rows(30)
    assert cached.evaluate(more)["eval_loss"] == plain.evaluate(more)["eval_loss"]


def test_trained_weights_too_narrow_for_small_steps_are_pointed_out(tmp_path, caplog):
    with caplog.at_level("WARNING", "lift"):
        make_trainer(tmp_path)
        assert not caplog.messages
        make_trainer(tmp_path, tiny_model().bfloat16())
    assert "weights in bfloat16 are trained as they are, and small steps vanish" in caplog.messages[0]


def test_what_a_trainer_cannot_use_is_refused(tmp_path):
    with pytest.raises(LiftError, match="LiftTrainer has its own loss: leave compute_loss_func out"):
        LiftTrainer(
            tiny_model(), tiny_config(tmp_path), processing_class=sudoku.build_tokenizer(), compute_loss_func=print
        )
    with pytest.raises(LiftError, match="a model is needed, got the name 'bert-base-uncased'"):
        LiftTrainer("bert-base-uncased", tiny_config(tmp_path), processing_class=sudoku.build_tokenizer())
