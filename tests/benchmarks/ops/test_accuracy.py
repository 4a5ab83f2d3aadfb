from __future__ import annotations

import pytest
import torch

from benchmarks.ops.accuracy import CaseTruth
from benchmarks.ops.cases import Case, target_rows
from benchmarks.ops.own_providers import LiftKernels
from benchmarks.ops.providers import BOUND, PROVIDERS
from lift_kernels import linear_sample
from tests.benchmarks.support import HERE, SMOKE

OWN = LiftKernels()
DRAWS = Case("smoke", 2048, 0.5, "sampling", dtype_name="float32")
SAMPLERS = [name for name, it in PROVIDERS.items() if it.takes(DRAWS) and it.missing(SMOKE) is None and name != BOUND]


def measured(work: str, head: str = "trained"):
    case = Case("smoke", 64, 0.5, work, head)
    inputs = case.inputs()
    truth = CaseTruth(case, inputs)
    result = OWN.prepare(case, inputs, HERE)()
    losses = None if work == "statistics" else OWN.token_losses(case, inputs, HERE)
    return truth, result, inputs, losses


@pytest.mark.parametrize("work", ["loss", "lift"])
def test_each_error_is_told_and_makes_it_inaccurate(work):
    truth, result, inputs, losses = measured(work)
    errors, inaccuracy = truth.errors(result, inputs, losses)
    assert inaccuracy is None and set(errors) == {
        "mean_loss_error_nats", "token_loss_error_nats", "hidden_states_gradient_error", "weight_gradient_error",
    }  # fmt: skip
    wrong = losses.clone()
    wrong[truth.is_masked.nonzero()[3, 0]] += 1e-3
    errors, inaccuracy = truth.errors(result, inputs, wrong)
    assert errors["token_loss_error_nats"] == pytest.approx(1e-3, rel=1e-2)
    assert inaccuracy.startswith("the loss of a token: off by")
    assert truth.errors(result + 1e-3, inputs, None)[1].startswith("the mean loss: off by")
    inputs.weight.grad.mul_(1.1)
    errors, inaccuracy = truth.errors(result, inputs, losses)
    assert errors["weight_gradient_error"] == pytest.approx(0.1, rel=1e-2)
    assert inaccuracy.startswith("the gradient of weight: ")


def test_a_loss_of_another_selection_is_inaccurate():
    truth, result, inputs, losses = measured("lift")
    other = Case("smoke", 64, 0.5, "loss", "trained")
    inputs.hidden_states.grad = inputs.weight.grad = None
    result = OWN.prepare(other, inputs, HERE)()
    assert truth.errors(result, inputs, losses)[1]


def test_a_frozen_head_has_no_gradient_to_judge():
    truth, result, inputs, losses = measured("loss", "frozen")
    errors, inaccuracy = truth.errors(result, inputs, losses)
    assert inaccuracy is None and "weight_gradient_error" not in errors


@pytest.mark.parametrize("provider", SAMPLERS)
def test_fair_draws_are_accurate(provider):
    inputs = DRAWS.inputs()
    errors, inaccuracy = CaseTruth(DRAWS, inputs).errors(
        PROVIDERS[provider].prepare(DRAWS, inputs, HERE)(), inputs, None
    )
    assert inaccuracy is None and errors["draws_distance"] < 0.1 and errors["token_loss_error_nats"] < 1e-5


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"temperature": 0.5}, {"temperature": 3.0}], ids=str)
def test_draws_of_another_distribution_are_inaccurate(options):
    truth, inputs = CaseTruth(DRAWS, DRAWS.inputs()), DRAWS.inputs()
    rows = inputs.hidden_states[target_rows(inputs)]
    fair, wrong = (linear_sample(rows, inputs.weight, **{"seed": 3, "temperature": 1.0} | o)[:2] for o in ({}, options))
    assert truth.errors(fair, inputs, None)[1] is None
    assert truth.errors(wrong, inputs, None)[1].startswith("draws: distributed 0.")
    moved = fair[1].clone()
    moved[5] += 1e-3
    errors, inaccuracy = truth.errors((fair[0], moved), inputs, None)
    assert errors["token_loss_error_nats"] == pytest.approx(1e-3, rel=1e-2) and inaccuracy.startswith("log_prob: ")


@pytest.mark.parametrize("name", ["log_prob", "lse", "entropy", "max_log_prob"])
def test_statistics_may_be_of_all_tokens_or_of_those_with_a_target(name):
    truth, result, inputs, _ = measured("statistics")
    of_targets = [values[truth.is_masked] for values in result[:5]]
    every = truth.errors(result, inputs, None)
    assert every == truth.errors(of_targets, inputs, None) and every[1] is None
    assert every[0]["argmax_agreement"] == 1
    moved = result._replace(**{name: getattr(result, name) + 1e-3})
    errors, inaccuracy = truth.errors(moved, inputs, None)
    assert errors["statistics_error_nats"] == pytest.approx(1e-3, rel=1e-2) and inaccuracy.startswith(name)
    assert not torch.equal(getattr(moved, name), getattr(result, name))
