from __future__ import annotations

import pytest
import torch

from benchmarks.ops.case_accuracy import CaseTruth
from benchmarks.ops.cases import CASES
from benchmarks.ops.own_providers import LiftKernels
from tests.benchmarks.support import HERE

OWN = LiftKernels(None)


def prepared(kind: str):
    case = CASES[f"smoke-sequence-{kind}"]
    inputs = case.inputs()
    return CaseTruth(case, inputs), OWN.prepare(case, inputs, HERE), inputs


@pytest.mark.parametrize("kind", ["frozen", "trained"])
def test_errors_are_of_the_loss_and_of_each_gradient(kind):
    truth, step, inputs = prepared(kind)
    errors = truth.errors(step(), inputs)
    assert errors["loss_error_nats"] < 1e-5
    assert set(errors["gradient_error"]) == {"hidden_states", *(["weight"] if kind == "trained" else [])}
    assert max(errors["gradient_error"].values()) < 1e-2
    inputs[0].grad.mul_(1.1)
    wrong = truth.errors(torch.tensor(1.0), inputs)
    assert 0.09 < wrong["gradient_error"]["hidden_states"] < 0.11 and wrong["loss_error_nats"] > 0.1
    assert truth.errors(None, inputs) == {}


def test_statistics_may_be_of_all_tokens_or_of_those_with_a_target():
    truth, step, inputs = prepared("stats")
    every = step()
    of_targets = [values[inputs[2] != -100] for values in every]
    assert truth.errors(every, inputs) == truth.errors(of_targets, inputs)
    assert truth.errors(every, inputs)["argmax_agreement"] == 1
    of_targets[2] = of_targets[2] + 1
    assert truth.errors(of_targets, inputs)["loss_error_nats"] == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("kind", ["frozen", "trained", "stats"])
def test_our_steps_are_judged_by_the_rules_of_the_accuracy_matrix(kind):
    truth, step, inputs = prepared(kind)
    step()
    assert not truth.judge(OWN, step, inputs, HERE).failures
    if kind == "stats":
        moved = step()._replace(entropy=step().entropy + 1e-3)
        assert truth.judge(OWN, lambda: moved, inputs, HERE).failures
    else:
        inputs[0].grad.mul_(1.1)
        assert "gradient of hidden_states" in truth.judge(OWN, step, inputs, HERE).failures[0]
