"""What is logged about the tokens of a step."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from lift.objectives import MODES, DenoisingBatch, Draws, TrainingBatch
from lift.objectives.blocks import Blocks
from lift.training.statistics import StepStatistics
from lift_kernels import select_tokens
from lift_kernels.models import OneForward
from tests.lift.support.trainers import (
    make_trainer,
    micro_batch,
    training_batch,
)


def test_what_is_logged(tmp_path):
    trainer = make_trainer(tmp_path, max_steps=3, method="lift3")
    trainer.train()
    entries = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(entries) == 3
    for entry in entries:
        assert entry["easy"] + entry["middle"] + entry["hard"] == pytest.approx(1)
        assert entry["tokens_per_second"] > 0 and math.isfinite(entry["loss"])
        assert 0 < entry["mean_t"] < 1 and 0 < entry["mean_rho"] < 1 and 0 <= entry["accuracy"] <= 1
        assert 0 < entry["nll"] and 0 < entry["entropy"] < math.log(8) + 1e-6
    sft = make_trainer(tmp_path, max_steps=1, method="sft")
    sft.train()
    assert "easy" not in sft.state.log_history[0]


@pytest.mark.parametrize("method", ["lift2", "lift3"])
@pytest.mark.parametrize("one_forward", [False, True])
def test_the_logged_sums_are_those_of_the_tokens(tmp_path, one_forward, method):
    trainer = make_trainer(tmp_path, method=method, one_forward=one_forward)
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
        "easy": (prepared.draws.order == 1).float().mean(), "hard": (prepared.draws.order == -1).float().mean(), "middle": (prepared.draws.order == 0).float().mean(),
        "nll": -gold[is_kept].mean(),
        "accuracy": (log_probs.argmax(-1) == inputs["input_ids"])[is_kept].float().mean(),
        "entropy": -(log_probs.exp() * log_probs).sum(-1)[is_kept].mean(),
    }  # fmt: skip
    for name, mode in MODES.items():
        rows = (prepared.draws.order == mode)[:, None]
        for kind, tokens, values in (("kept", is_kept, gold), ("rejected", rejected, rejected_gold)):
            if (tokens & rows).any():
                expected[f"{name}_{kind}_log_prob"] = values[tokens & rows].mean()
    assert {"easy_kept_log_prob", "easy_rejected_log_prob", "hard_kept_log_prob"} <= expected.keys()
    assert logged == pytest.approx({name: float(value) for name, value in expected.items()}, rel=1e-5)
    assert trainer._statistics.take(lambda sums: sums) == {}


def outputs_of(log_prob, argmax, entropy, learnability=None) -> SimpleNamespace:
    stats = SimpleNamespace(log_prob=log_prob, argmax=argmax, entropy=entropy)
    return SimpleNamespace(token_stats=stats, learnability=learnability)


def prepared_of(labels, *, time, **names) -> TrainingBatch:
    batch = DenoisingBatch(labels, labels, None, None)
    draws = Draws(time, time, names.pop("rho", None), names.pop("order", None))
    return TrainingBatch(batch, labels != -100, draws, **names)


def test_an_entry_is_of_the_tokens_of_all_micro_batches_and_processes():
    """By hand, unequal numbers of tokens: means over tokens, not means of means."""
    statistics = StepStatistics(torch.device("cpu"))
    rejected = torch.tensor([[False, True, False]])
    statistics.add(
        prepared_of(
            torch.tensor([[3, -100, 4]]), time=torch.tensor([0.25]), rho=torch.tensor([0.5]), order=torch.tensor([1]),
            rejected=rejected, rejected_log_prob=torch.tensor([[9.0, -4.0, 9.0]]),
        ),
        outputs_of(torch.tensor([[-1.0, 9.0, -2.0]]), torch.tensor([[3, 1, 5]]), torch.tensor([[0.5, 9.0, 0.25]])),
    )  # fmt: skip
    statistics.add(
        prepared_of(
            torch.tensor([[-100, 2, -100], [-100] * 3]), time=torch.tensor([0.75, 0.5]),
            rho=torch.tensor([0.0, 0.25]), order=torch.tensor([-1, 0]), rejected=torch.zeros(2, 3, dtype=torch.bool),
            rejected_log_prob=torch.full((2, 3), 9.0),
        ),
        outputs_of(torch.full((2, 3), -6.0), torch.full((2, 3), 2), torch.full((2, 3), 1.5)),
    )  # fmt: skip
    asked = []
    entry = statistics.take(lambda sums: asked.append(sums.clone()) or 2 * sums)  # another process has as much
    assert len(asked) == 1
    assert entry == pytest.approx({
        "mean_t": 0.5, "mean_rho": 0.25, "easy": 1 / 3, "middle": 1 / 3, "hard": 1 / 3, "nll": 3.0,
        "accuracy": 2 / 3, "entropy": 0.75, "easy_kept_log_prob": -1.5, "easy_rejected_log_prob": -4.0,
        "hard_kept_log_prob": -6.0,
    })  # fmt: skip
    assert statistics.take(lambda sums: sums) == {}


@pytest.mark.parametrize("views", [1, 2])
def test_the_mode_of_a_token_is_that_of_its_block(views):
    """Two rows of three blocks, the last one short: easy, hard and middle, then all hard."""
    statistics = StepStatistics(torch.device("cpu"))
    order, log_prob = torch.tensor([1, -1, 0, -1, -1, -1]), -torch.arange(1.0, 11).view(2, 5)
    prepared = prepared_of(
        torch.full((2, 5), 2).repeat(views, 1), time=torch.full((6,), 0.5), rho=torch.zeros(6), order=order,
        blocks=Blocks.of_rows(2, 5, 2),
    )  # fmt: skip
    log_prob = log_prob.repeat(views, 1)
    statistics.add(prepared, outputs_of(log_prob, prepared.batch.labels, torch.zeros_like(log_prob)))
    entry = statistics.take(lambda sums: sums)
    assert entry["easy_kept_log_prob"] == -1.5 and entry["middle_kept_log_prob"] == -5.0
    assert entry["hard_kept_log_prob"] == pytest.approx(-(3 + 4 + 6 + 7 + 8 + 9 + 10) / 7)
    assert (entry["easy"], entry["middle"], entry["hard"]) == pytest.approx((1 / 6, 1 / 6, 4 / 6))


def test_a_method_without_modes_logs_none():
    statistics = StepStatistics(torch.device("cpu"))
    labels = torch.tensor([[2, -100]])
    statistics.add(
        prepared_of(labels, time=torch.tensor([0.5])), outputs_of(torch.zeros(1, 2) - 1, labels, torch.zeros(1, 2))
    )
    assert statistics.take(lambda sums: sums).keys() == {"mean_t", "nll", "accuracy", "entropy"}


def test_a_step_that_trains_nothing_has_no_means():
    statistics = StepStatistics(torch.device("cpu"))
    nothing = torch.full((1, 2), -100)
    statistics.add(
        prepared_of(nothing, time=torch.tensor([0.5])), outputs_of(torch.zeros(1, 2), nothing, torch.zeros(1, 2))
    )
    assert statistics.take(lambda sums: sums) == {"mean_t": 0.5}


@pytest.mark.parametrize("learnability", ["hard", "soft"])
def test_one_forward_trains_what_the_loss_kept_or_all_of_it_softly(learnability):
    statistics = StepStatistics(torch.device("cpu"))
    labels, log_prob = torch.tensor([[2, 3, -100]]), torch.tensor([[-1.0, -3.0, 9.0]])
    told = OneForward(torch.ones(1), torch.ones(1), torch.ones(1), learnability=learnability)
    kept = torch.tensor([[True, False, False]]) if learnability == "hard" else torch.tensor([[0.9, 0.1, 0.0]])
    prepared = prepared_of(
        labels, time=torch.tensor([0.5]), rho=torch.tensor([0.5]), order=torch.tensor([1]), one_forward=told
    )
    statistics.add(prepared, outputs_of(log_prob, torch.tensor([[2, 2, 2]]), torch.ones(1, 3), kept))
    entry = statistics.take(lambda sums: sums)
    assert entry["nll"] == (1.0 if learnability == "hard" else 2.0)
    assert entry["accuracy"] == (1.0 if learnability == "hard" else 0.5)
    assert entry["easy_kept_log_prob"] == -entry["nll"]
    assert entry.get("easy_rejected_log_prob") == (-3.0 if learnability == "hard" else None)


def test_a_row_without_a_finite_value_stays_in_its_mode():
    statistics = StepStatistics(torch.device("cpu"))
    prepared = prepared_of(
        torch.tensor([[2], [2]]), time=torch.tensor([0.9, 0.1]), rho=torch.zeros(2), order=torch.tensor([1, -1])
    )
    log_prob = torch.tensor([[-1.0], [-math.inf]])
    statistics.add(prepared, outputs_of(log_prob, torch.tensor([[2], [2]]), torch.zeros(2, 1)))
    entry = statistics.take(lambda sums: sums)
    assert (entry["easy_kept_log_prob"], entry["hard_kept_log_prob"]) == (-1.0, -math.inf)


def test_second_views_of_middle_rows_count_as_kept():
    statistics = StepStatistics(torch.device("cpu"))
    labels = torch.tensor([[2, -100], [3, -100], [-100, 2], [-100, -100]])  # the second views below
    prepared = prepared_of(
        labels, time=torch.tensor([0.5, 0.1]), rho=torch.zeros(2), order=torch.tensor([0, -1]),
        rejected=torch.zeros(2, 2, dtype=torch.bool), rejected_log_prob=torch.zeros(2, 2),
    )  # fmt: skip
    log_prob = torch.tensor([[-1.0, 9.0], [-5.0, 9.0], [9.0, -3.0], [9.0, 9.0]])
    statistics.add(prepared, outputs_of(log_prob, labels, torch.zeros(4, 2)))
    entry = statistics.take(lambda sums: sums)
    assert (entry["middle_kept_log_prob"], entry["hard_kept_log_prob"]) == (-2.0, -5.0)
    assert (entry["middle"], entry["hard"]) == (0.5, 0.5)
